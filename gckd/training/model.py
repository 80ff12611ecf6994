"""A trained text-to-image retriever: embeddings of sentences and images, and search by a sentence."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gckd.config import digest
from gckd.config.schema import Config
from gckd.data.dataset_pair import DatasetPair
from gckd.data.images import decode_file, in_parallel, resized
from gckd.data.split_paths import split_paths
from gckd.data.types import ItemProgress
from gckd.device import on_device
from gckd.errors import InputError, reason_of
from gckd.evaluation.retrieval import Retriever
from gckd.models.weights import file_digest
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath, expanded
from gckd.storage.shared_file import create_once
from gckd.training.folder_index import folder_index
from gckd.training.load import Student, checkpoint_config, load_student
from gckd.training.target_evaluation import Evaluation, evaluate_student

ImageInput: TypeAlias = str | Path | Image.Image


class Match(NamedTuple):
    """One image that a search returns."""

    row: int  # of the gallery
    cosine: float  # similarity to the sentence, in [-1, 1]


class ImageFiles(Protocol):
    """Image files by number."""

    def encoded(self, row: int) -> bytes:
        """Bytes of image number `row`."""
        ...


class FolderFiles(NamedTuple):
    """Image files of a folder, by number."""

    paths: list[Path]

    def encoded(self, row: int) -> bytes:
        return self.paths[row].read_bytes()


class Gallery(NamedTuple):
    """N images with their unit embeddings [N, d] and their paths, in the same order."""

    embeddings: Tensor
    files: ImageFiles
    paths: list[str]  # as `split_paths` returns them, or below the folder as it was given
    notes: tuple[str, ...] = ()  # on the index of a folder, and on images that cannot be read


class Model:
    """A trained student in evaluation mode. Embeddings are unit vectors [N, d] on the CPU; their cosine ranks images.

    No method but `evaluate` opens a label. Use `load_model`, or `gckd.load`, to make one.
    """

    def __init__(self, student: Student, checkpoint: StoragePath, cache: CachePath) -> None:
        self.student, self.checkpoint, self.cache = student, checkpoint, cache
        student.backbone.eval()

    @property
    def config(self) -> Config:
        """Config of the run that trained the model."""
        return self.student.config

    def embed_texts(self, texts: str | Sequence[str]) -> Tensor:
        """Embeddings [M, d] of a sentence or of M sentences.

        Raises:
            InputError: a sentence is empty.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        if blank := [row for row, text in enumerate(texts) if not text.strip()]:
            raise InputError(f"texts[{blank[0]}]: the sentence is empty")
        with on_device(self.config.device):
            tokens = self.student.datasets.tokenizer.encode(texts).to(torch.get_default_device())
            return self._retriever.embed_captions(tokens).cpu()

    def embed_images(self, images: ImageInput | Sequence[ImageInput]) -> Tensor:
        """Embeddings [N, d] of an image or of N images: paths or PIL images of any size.

        Raises:
            InputError: an image cannot be read.
        """
        images = [images] if isinstance(images, ImageInput) else list(images)
        size, batch = self.config.evaluate.batch, []
        with on_device(self.config.device):
            for first in range(0, len(images), size):
                pixels = np.stack([self._pixels(image) for image in images[first : first + size]])
                batch.append(self._retriever.embed_images(torch.from_numpy(pixels)).cpu())
        return torch.cat(batch) if batch else torch.zeros(0, self.student.backbone.embed_dim)

    def embed_split(self, split: str) -> Gallery:
        """Images of a split of the target. Their embeddings are cached, under the digest of the checkpoint.

        Raises:
            InputError: the target has no such split, or its annotations cannot be read.
        """
        datasets, data = self.student.datasets, self.config.data
        files = datasets.target.unlabelled(split).images
        with self.checkpoint.reading() as file:
            content = file_digest(file)
        name = digest(self.config, content, split, datasets.target.digest, datasets.tokenizer.digest)

        def embed() -> dict[str, Tensor]:
            pixels = torch.from_numpy(files.decoded(data.height, data.width))
            return {"images": self._retriever.embed_images(pixels).cpu()}

        with on_device(self.config.device):
            content = create_once(self.cache / "galleries" / f"{name}.pt", embed)
        return Gallery(content["images"], files, split_paths(data.target, split, files, self.cache))

    def embed_folder(self, folder: str | Path, progress: ItemProgress | None = None) -> Gallery:
        """All images in a folder and its sub-folders. Their embeddings are cached, by path, size and modification time.

        Images that cannot be read are left out, and a note names them.

        Args:
            progress: called with (images done, images in total) where embeddings are computed.

        Raises:
            InputError: there is no such folder, or no image in it that can be read.
        """
        root = expanded(folder)
        with self.checkpoint.reading() as file:
            content = file_digest(file)
        name = digest(self.config, content, self.student.datasets.target.digest, str(root.resolve()))
        file = (self.cache / "galleries" / f"folder-{name}.parquet").local_path
        with on_device(self.config.device):
            index = folder_index(file, root, self._embed_files, progress)
        paths = [root / path for path in index.paths]
        return Gallery(
            torch.from_numpy(index.embeddings), FolderFiles(paths), [str(path) for path in paths], index.notes()
        )

    def search(self, text: str, gallery: Tensor | Sequence[ImageInput], top: int = 5) -> list[Match]:
        """The `top` images of a gallery that are most similar to a sentence, best first; ties keep the gallery's order.

        Args:
            gallery: embeddings [N, d] of `embed_images`, or N images.

        Raises:
            InputError: the sentence is empty, or an image cannot be read.
        """
        embeddings = gallery if isinstance(gallery, Tensor) else self.embed_images(gallery)
        cosines = embeddings @ self.embed_texts(text)[0]
        order = cosines.argsort(descending=True, stable=True)[:top].tolist()
        return [Match(row, float(cosines[row])) for row in order]

    def evaluate(self, split: str = "test") -> Evaluation:
        """Retrieval metrics on a labelled split of the target.

        Raises:
            InputError: the target has no such split.
        """
        with on_device(self.config.device):
            return evaluate_student(self.student, split)

    @functools.cached_property
    def _retriever(self) -> Retriever:
        return self.student.retriever()

    def _embed_files(self, files: Sequence[Path]) -> list[NDArray[np.float32] | str]:
        """Embedding [d] of each file, or the reason why it cannot be read."""
        results = list(in_parallel(self._pixels_or_reason, files, None))
        pixels = [result for result in results if not isinstance(result, str)]
        batches = [
            pixels[i : i + self.config.evaluate.batch] for i in range(0, len(pixels), self.config.evaluate.batch)
        ]
        embeddings = iter(
            [
                row
                for batch in batches
                for row in self._retriever.embed_images(torch.from_numpy(np.stack(batch))).cpu().numpy()
            ]
        )
        return [result if isinstance(result, str) else next(embeddings) for result in results]

    def _pixels_or_reason(self, file: Path) -> NDArray[np.uint8] | str:
        try:
            return decode_file(file, self.config.data.height, self.config.data.width)
        except InputError as error:
            return reason_of(error)

    def _pixels(self, image: ImageInput) -> NDArray[np.uint8]:
        data = self.config.data
        if isinstance(image, Image.Image):
            return resized(image, data.height, data.width)
        try:
            return decode_file(expanded(image), data.height, data.width)
        except InputError as error:
            raise InputError(f"{image}: cannot be read as an image ({reason_of(error)})") from error


def load_model(
    checkpoint: StoragePath,
    cache: Path | CachePath,
    edits: Mapping[str, Any] | None = None,
    datasets: DatasetPair | None = None,
) -> Model:
    """Model of a checkpoint with its config.yaml, which edits may change.

    Args:
        datasets: of the config; opened now if None.

    Raises:
        InputError: there is no checkpoint or no config beside it, or the two do not fit.
        ConfigError: an edit is refused.
    """
    config = checkpoint_config(checkpoint, edits)
    with on_device(config.device):
        return Model(load_student(config, checkpoint, cache, datasets), checkpoint, CachePath.at(cache))

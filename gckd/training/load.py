"""A run's checkpoint, opened: its student as it is evaluated, and what that makes of images and captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gckd.config import check, digest
from gckd.config.schema import Config
from gckd.data.batches import Feed
from gckd.data.domains import DatasetPair, open_datasets
from gckd.data.splits import Images
from gckd.device import on_its_device
from gckd.errors import InputError
from gckd.evaluation.retrieval import EmbeddingTransform, Retriever, unchanged
from gckd.method.banks import train_means
from gckd.method.build import build_parts
from gckd.method.parts import Parts
from gckd.models.base import Backbone
from gckd.models.build import build_model, file_digest
from gckd.storage.cache import CachePath
from gckd.storage.checkpoint import load_checkpoint
from gckd.storage.path import StoragePath
from gckd.storage.shared_file import create_once


class Restored(NamedTuple):
    """The datasets of a run, its student, and what test embeddings go through."""

    datasets: DatasetPair
    student: Backbone
    feed: Feed
    transform: EmbeddingTransform


class Searchable(NamedTuple):
    """A split's images and some captions as a run's student compares them: unit embeddings [N, d] and [M, d]."""

    images: Tensor
    captions: Tensor
    files: Images  # of the N images


def restored(
    config: Config, checkpoint: Path | StoragePath, cache: Path | CachePath, datasets: DatasetPair | None = None
) -> Restored:
    """The student of a checkpoint of a run of this config.

    Args:
        datasets: of the config; opened now if None.

    Raises:
        InputError: the checkpoint is not one, or does not fit the config.
    """
    datasets = datasets or open_datasets(check(config), cache)
    feed = datasets.feed(config, config.adapt.batch)
    student = build_model(config, datasets.tokenizer.vocabulary)
    modules = load_checkpoint(checkpoint)["modules"]
    try:
        student.load_state_dict(modules["student"])
        transform = _graph(build_parts(config, feed, student), modules) if config.evaluate.propagate else unchanged
    except (KeyError, RuntimeError) as error:
        raise InputError(f"{checkpoint}: does not hold the student of this config ({error})") from error
    return Restored(datasets, student, feed, transform)


def _graph(parts: Parts, modules: Mapping[str, Any]) -> EmbeddingTransform:
    """The graph of a checkpoint, over its banks."""
    parts.banks.load_state_dict(modules["banks"])
    parts.propagate.load_state_dict(modules["propagate"])
    return evaluation_transform(parts)


@on_its_device
def searchable(
    config: Config, checkpoint: Path | StoragePath, cache: Path | CachePath, split: str, captions: Sequence[str]
) -> Searchable:
    """Embeds the images of a split of the target, once for all calls, and captions that anyone may have written.

    No label is opened.

    Raises:
        InputError: the checkpoint is not one, or does not fit the config; there is no such split.
    """
    datasets, student, feed, transform = restored(config, checkpoint, cache)
    files, student = datasets.target.unlabelled(split).images, student.eval()
    retriever = Retriever(student, config.evaluate, train_means(student, feed.target, config.centre), transform)
    tokens = datasets.tokenizer.encode(list(captions)).to(torch.get_default_device())
    with StoragePath.at(checkpoint).reading() as file:
        content = file_digest(file)
    name = digest(config, content, split, datasets.target.digest, datasets.tokenizer.digest)

    def embed() -> dict[str, Tensor]:
        pixels = files.decoded(config.data.height, config.data.width)
        return {"images": retriever.embed_images(torch.from_numpy(pixels)).cpu()}

    kept = create_once(CachePath.at(cache) / "galleries" / f"{name}.pt", embed)
    return Searchable(load_checkpoint(kept)["images"], retriever.embed_captions(tokens).cpu(), files)


def evaluation_transform(parts: Parts) -> EmbeddingTransform:
    """`evaluate.propagate`: each test item is joined, by itself, to the graph over the banks as the run left them.

    Inductive, as in GraphSAGE (Hamilton et al., NIPS 2017): the item receives from its K nearest bank entries, and from
    their neighbours through them. It sends nothing, so that no test item has a part in another one's embedding. Ours.
    """
    if not parts.config.evaluate.propagate:
        return unchanged
    views = parts.banks.space(parts.config.centre).views

    @torch.no_grad()
    def transform(bank: int, embeddings: Tensor) -> Tensor:
        return parts.propagate.join(views, bank, embeddings)

    return transform

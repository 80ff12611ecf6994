"""Index of a folder of images: their embeddings, kept in a file and computed again only for images that changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gckd.data.caption_check import examples
from gckd.data.image_folder import ImageFile, list_images
from gckd.data.types import ItemProgress
from gckd.errors import InputError, reason_of
from gckd.storage import atomic
from gckd.storage.parquet_file import read_table, write_parquet
from gckd.storage.shared_file import exclusive, usable

Embeddings = NDArray[np.float32]  # [N, d]
EmbedFiles = Callable[[Sequence[Path]], list[Embeddings | str]]
"""Embedding [d] of each image file, or the reason why it is unusable."""

_REMEDY = "delete it; it is then made again"
_CHUNK = 1024  # images after which the index is saved, so that an interruption loses little
_COLUMNS = pa.schema(
    [("path", pa.string()), ("size", pa.int64()), ("modified", pa.int64()), ("embedding", pa.list_(pa.float32()))]
)


class FolderIndex(NamedTuple):
    """Images of a folder with their embeddings, in alphabetical order, and the work that this took."""

    paths: list[str]  # relative to the folder
    embeddings: Embeddings  # [N, d]
    computed: int  # embeddings that were not in the file
    removed: int  # images in the file that are no longer in the folder
    unusable: dict[str, str]  # path -> reason

    def notes(self) -> tuple[str, ...]:
        """Sentences on the work and on images that cannot be read."""
        reused = len(self.paths) - self.computed
        notes = [f"index: {reused:,} images unchanged, {self.computed:,} embedded, {self.removed:,} removed"]
        if self.unusable:
            cases = examples(f"{path} ({reason})" for path, reason in self.unusable.items())
            notes.append(f"{len(self.unusable):,} files cannot be read and are left out: {cases}")
        return tuple(notes)


def folder_index(file: Path, folder: Path, embed: EmbedFiles, progress: ItemProgress | None = None) -> FolderIndex:
    """Index of the images that are in a folder now. The file is read, brought up to date and saved.

    An image with the same path, size and modification time keeps its embedding.

    Args:
        file: index file; missing at first. A damaged one is made again.
        progress: called with (images done, images in total) where embeddings are computed.

    Raises:
        InputError: the folder has no image that can be read.
    """
    images = list_images(folder)
    with exclusive(file):
        saved: dict[ImageFile, Embeddings] = usable(file, _read) or {}
        current = {image: saved[image] for image in images if image in saved}
        new = [image for image in images if image not in saved]
        unusable: dict[str, str] = {}
        for start in range(0, len(new), _CHUNK):
            chunk = new[start : start + _CHUNK]
            for image, result in zip(chunk, embed([folder / image.path for image in chunk]), strict=True):
                if isinstance(result, str):
                    unusable[image.path] = result
                else:
                    current[image] = result
            _write(file, current)
            if progress:
                progress(start + len(chunk), len(new))
        remaining = {image.path for image in images}
        removed = sum(image.path not in remaining for image in saved)
        if removed and not new:
            _write(file, current)
    if not current:
        path, reason = next(iter(unusable.items()))
        raise InputError(f"{folder}: none of its {len(images):,} images can be read; {path}: {reason}")
    ordered = sorted(current)
    embeddings = np.stack([current[image] for image in ordered])
    return FolderIndex([image.path for image in ordered], embeddings, len(new) - len(unusable), removed, unusable)


def _read(file: Path) -> dict[ImageFile, Embeddings]:
    """Embedding of each image in an index file.

    Raises:
        InputError: the file is damaged.
    """
    table = read_table(file, _COLUMNS, _REMEDY)
    try:
        values = np.stack(table.column("embedding").to_numpy()) if len(table) else np.zeros((0, 1), np.float32)
        keys = list(zip(*(table.column(name).to_pylist() for name in ImageFile._fields), strict=True))
    except (ValueError, TypeError) as error:
        raise InputError(f"{file}: damaged ({reason_of(error)}); {_REMEDY}") from error
    if values.dtype != np.float32 or not np.isfinite(values).all():
        raise InputError(f"{file}: damaged (an embedding is not finite); {_REMEDY}")
    return {ImageFile(*key): value for key, value in zip(keys, values, strict=True)}


def _write(file: Path, embeddings: dict[ImageFile, Embeddings]) -> None:
    columns = [list(column) for column in zip(*embeddings, strict=True)] or [[], [], []]
    table = pa.table([*columns, [value.tolist() for value in embeddings.values()]], schema=_COLUMNS)
    with atomic.writing(file) as partial:
        write_parquet(table, partial)

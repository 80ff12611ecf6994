"""Splits of a store: labelled ones have identities and pairing, unlabelled ones cannot reach them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from filelock import FileLock
from numpy.typing import NDArray

from gckd.data.arrow_file import read_arrow
from gckd.data.images import DECODING, decode, in_parallel
from gckd.data.pixel_file import load_pixels, writing_pixels
from gckd.data.store_sums import are_images_changed
from gckd.data.types import ItemProgress
from gckd.errors import InputError, reason_of

_CHARACTERS = 120  # of a reason in a message


def split_problem(folder: Path, counts: Mapping[str, int]) -> str:
    """Reason why the three Arrow files of a split are not whole; empty if they are.

    Images are not decoded here, because a store has gigabytes of them.

    Args:
        counts: number of images, identities and captions.
    """
    images, captions = counts["images"], counts["captions"]
    try:
        tables = {name: read_arrow(folder / f"{name}.arrow") for name in ("images", "captions", "labels")}
        identities, pairing = (
            tables["labels"].column(name)[0].values.to_numpy() for name in ("image_identity", "caption_image")
        )
        rows = (len(tables["images"].column("image")), len(tables["captions"].column("caption")))
    except (OSError, pa.ArrowException, ValueError, LookupError, AttributeError) as error:
        return reason_of(error)[:_CHARACTERS]
    if (*rows, len(identities), len(pairing)) != (images, captions, images, captions):
        return f"{rows[0]} images and {rows[1]} captions, {images} and {captions} are expected"
    if len(np.unique(identities)) != counts["identities"]:
        return f"{len(np.unique(identities))} identities, {counts['identities']} are expected"
    if len(pairing) and not 0 <= pairing.min() <= pairing.max() < images:
        return "a caption is of an image that is not there"
    return ""


class Images:
    """Encoded images of a split and their decoded pixels, both memory-mapped.

    Rows are ordered by file hash, so the position of a row depends on its own content alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._column = read_arrow(path).column("image")

    def __len__(self) -> int:
        return len(self._column)

    def __reduce__(self) -> tuple[type[Images], tuple[Path]]:
        return Images, (self._path,)

    def encoded(self, row: int) -> bytes:
        """Bytes of the image file in row `row`."""
        return bytes(self._column[row].as_buffer())

    def decoded(
        self, height: int, width: int, *, workers: int | None = None, progress: ItemProgress | None = None
    ) -> NDArray[np.uint8]:
        """RGB pixels `[N, 3, height, width]` uint8, decoded once for all runs while other processes wait.

        The memory map is copy-on-write: processes share its pages, and a write to the array changes no file.

        Args:
            workers: threads that decode; None for one per core.
            progress: called with (images done, images in total).
        """
        final = self._path.with_name(f"{self._path.stem}-{height}x{width}-v{DECODING}.npy")
        shape = (len(self), 3, height, width)
        pixels = load_pixels(final, shape)
        if pixels is None:
            with FileLock(f"{final}.lock"):
                if load_pixels(final, shape) is None:  # another process may have decoded them during the wait
                    self._decode_all(final, height, width, workers, progress)
            pixels = load_pixels(final, shape)
        if pixels is None:
            raise InputError(f"{final}: changed while it was read; repeat the command")
        return pixels

    def _decode_all(
        self, final: Path, height: int, width: int, workers: int | None, progress: ItemProgress | None
    ) -> None:
        folder = self._path.parents[1]
        if are_images_changed(self._path):
            raise InputError(f"{self._path}: damaged (its check sum is wrong); delete the folder {folder}")
        with writing_pixels(final, (len(self), 3, height, width)) as write:

            def decode_row(row: int) -> None:
                try:
                    write(row, decode(self.encoded(row), height, width))
                except InputError as error:
                    raise InputError(f"{self._path}: damaged (image {row}); delete the folder {folder}") from error

            for _ in in_parallel(decode_row, range(len(self)), workers, progress):
                pass


@dataclass(frozen=True)
class LabelledSplit:
    """N images and M captions with identities and pairing: of the source, or for evaluation."""

    images: Images  # N of them
    captions: list[str]  # M of them
    image_identities: NDArray[np.int64]  # [N]
    caption_image: NDArray[np.int64]  # [M], row of the image that the caption describes

    @property
    def caption_identities(self) -> NDArray[np.int64]:
        """Identity of each caption, [M] int64."""
        return self.image_identities[self.caption_image]

    @staticmethod
    def open(images: Path, captions: Path, labels: Path) -> LabelledSplit:
        """Open a split from its three Arrow files."""
        table = read_arrow(labels)
        identities, pairing = (table.column(name)[0].values.to_numpy() for name in ("image_identity", "caption_image"))
        return LabelledSplit(Images(images), _captions(captions), identities, pairing)


@dataclass(frozen=True, slots=True)
class UnlabelledSplit:
    """N images and M captions of the target in unrelated orders, without identities and pairing."""

    images: Images  # N of them
    captions: list[str]  # M of them

    @staticmethod
    def open(images: Path, captions: Path) -> UnlabelledSplit:
        """Open a split from two Arrow files; the path of the label file is never passed."""
        return UnlabelledSplit(Images(images), _captions(captions))


def _captions(path: Path) -> list[str]:
    captions: list[str] = read_arrow(path).column("caption").to_pylist()
    return captions

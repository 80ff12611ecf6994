"""Splits of a store: labelled ones have identities and pairing, unlabelled ones cannot reach them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from filelock import FileLock
from numpy.typing import NDArray

from gckd.data.images import DECODING, decode, in_parallel
from gckd.data.types import ItemProgress


def read_arrow(path: Path) -> pa.Table:
    """Memory-mapped Arrow file. Nothing is copied, and all processes share its pages."""
    with pa.memory_map(str(path)) as mapped:
        return pa.ipc.open_file(mapped).read_all()


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
        if not final.exists():
            with FileLock(f"{final}.lock"):
                if not final.exists():  # another process may have decoded them during the wait
                    self._decode_all(final, height, width, workers, progress)
        pixels: NDArray[np.uint8] = np.load(final, mmap_mode="c")
        return pixels

    def _decode_all(
        self, final: Path, height: int, width: int, workers: int | None, progress: ItemProgress | None
    ) -> None:
        partial = final.with_suffix(".partial")
        shape = (len(self), 3, height, width)
        pixels = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)

        def decode_row(row: int) -> None:
            pixels[row] = decode(self.encoded(row), height, width)

        for _ in in_parallel(decode_row, range(len(self)), workers, progress):
            pass
        pixels.flush()
        os.replace(partial, final)


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

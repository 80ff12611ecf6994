"""What a store hands out. A labelled split knows identities and pairing; an unlabelled one has no way to reach them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from filelock import FileLock
from numpy.typing import NDArray

from gckd.data.images import Progress, decode, in_parallel


def read_arrow(path: Path) -> pa.Table:
    """A memory-mapped Arrow file: nothing is copied, and all processes share its pages."""
    with pa.memory_map(str(path)) as mapped:
        return pa.ipc.open_file(mapped).read_all()


class Images:
    """The encoded images of a split, and their decoded pixels, both memory-mapped.

    Rows are ordered by content hash: a row's place tells nothing but its own content.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._column = read_arrow(path).column("image")

    def __len__(self) -> int:
        return len(self._column)

    def __reduce__(self) -> tuple[type[Images], tuple[Path]]:
        return Images, (self._path,)

    def encoded(self, row: int) -> bytes:
        """The image file's own bytes."""
        return bytes(self._column[row].as_buffer())

    def decoded(
        self, height: int, width: int, *, workers: int | None = None, progress: Progress | None = None
    ) -> NDArray[np.uint8]:
        """RGB pixels `[N, 3, height, width]`; decoded by the first process that asks, once for all runs.

        The map is copy-on-write: pages are shared by all processes, and no write reaches the file.
        """
        final = self._path.with_name(f"{self._path.stem}-{height}x{width}.npy")
        if not final.exists():
            with FileLock(f"{final}.lock"):
                if not final.exists():  # another process may have made it meanwhile
                    self._decode_all(final, height, width, workers, progress)
        pixels: NDArray[np.uint8] = np.load(final, mmap_mode="c")
        return pixels

    def _decode_all(self, final: Path, height: int, width: int, workers: int | None, progress: Progress | None) -> None:
        partial = final.with_suffix(".partial")
        shape = (len(self), 3, height, width)
        pixels = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)

        def fill(row: int) -> None:
            pixels[row] = decode(self.encoded(row), height, width)

        for _ in in_parallel(fill, range(len(self)), workers, progress):
            pass
        pixels.flush()
        os.replace(partial, final)


@dataclass(frozen=True)
class LabelledSplit:
    """Images and captions with their identities and pairing: the source, and any split under evaluation."""

    images: Images  # N of them
    captions: list[str]  # M of them
    image_identities: NDArray[np.int64]  # [N]
    caption_image: NDArray[np.int64]  # [M], row of the image that the caption describes

    @property
    def caption_identities(self) -> NDArray[np.int64]:
        """[M]"""
        return self.image_identities[self.caption_image]

    @staticmethod
    def open(images: Path, captions: Path, labels: Path) -> LabelledSplit:
        """The split in these three Arrow files."""
        table = read_arrow(labels)
        identities, pairing = (table.column(name)[0].values.to_numpy() for name in ("image_identity", "caption_image"))
        return LabelledSplit(Images(images), _captions(captions), identities, pairing)


@dataclass(frozen=True, slots=True)
class UnlabelledSplit:
    """Images and captions of the target: two heaps in unrelated orders, without identities, without pairing."""

    images: Images  # N of them
    captions: list[str]  # M of them

    @staticmethod
    def open(images: Path, captions: Path) -> UnlabelledSplit:
        """The split in these two Arrow files; there is no third it could reach."""
        return UnlabelledSplit(Images(images), _captions(captions))


def _captions(path: Path) -> list[str]:
    captions: list[str] = read_arrow(path).column("caption").to_pylist()
    return captions

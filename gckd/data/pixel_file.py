"""File of the decoded images of a split: a memory-mapped .npy file, with a check sum of each image at its end."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gckd.data.images import in_parallel
from gckd.storage import atomic

_SUM = np.dtype("<u4")  # CRC-32
_BLOCK = 2**23  # bytes that a thread reads at once


def load_pixels(file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """Memory-mapped pixels; None if the file is missing, has another shape, or a byte of it has changed.

    The whole file is read once by each process.
    """
    try:
        pixels: np.memmap[Any, np.dtype[np.uint8]] = np.load(file, mmap_mode="c")
        if pixels.shape != shape or pixels.dtype != np.uint8:
            return None
        status = os.stat(file)
        whole = _is_whole(file, shape, pixels.offset, (status.st_ino, status.st_mtime_ns, status.st_size))
    except (OSError, ValueError, EOFError, SyntaxError):  # of a damaged header
        return None
    return pixels if whole else None


@contextlib.contextmanager
def writing_pixels(file: Path, shape: tuple[int, ...]) -> Iterator[Callable[[int, NDArray[np.uint8]], None]]:
    """A function that writes the image of a row; the file appears when the block ends without an exception.

    Its space on the disk is reserved, because a write to a memory map on a full disk kills the process.

    Raises:
        OSError: the disk is full.
    """
    sums = np.zeros(shape[0], _SUM)
    with atomic.writing(file) as partial:
        with partial.open("wb") as opened:
            head = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(opened, head)
            atomic.reserve(opened, math.prod(shape) + sums.nbytes)
        pixels = np.lib.format.open_memmap(partial, mode="r+")

        def write(row: int, image: NDArray[np.uint8]) -> None:
            pixels[row] = image
            sums[row] = zlib.crc32(pixels[row].data)

        yield write
        pixels.flush()
        with partial.open("r+b") as end:
            end.seek(-sums.nbytes, os.SEEK_END)
            end.write(sums.tobytes())


@functools.lru_cache(maxsize=64)
def _is_whole(file: Path, shape: tuple[int, ...], start: int, version: tuple[int, ...]) -> bool:
    """Whether every image has its check sum.

    Args:
        start: position of the first image in the file.
        version: of the file; another one is read again.
    """
    count, size = shape[0], math.prod(shape[1:])
    sums = np.fromfile(file, _SUM, offset=start + count * size)
    step = max(1, _BLOCK // size)

    def is_whole(first: int) -> bool:
        # Not by the memory map, whose pages would count as memory of the process.
        rows = np.fromfile(file, np.uint8, min(step, count - first) * size, offset=start + first * size)
        computed = [zlib.crc32(row.data) for row in rows.reshape(-1, size)]
        return bool(np.array_equal(computed, sums[first : first + step]))

    return len(sums) == count and all(in_parallel(is_whole, range(0, count, step), None))

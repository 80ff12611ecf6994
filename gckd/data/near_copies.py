"""Near copies of pictures: the same picture resized or encoded again, by a perceptual hash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_BITS = 8  # of 64 in which the hashes of near copies differ at most
MAX_DIFFERENCE = 6.0  # mean difference of their thumbnails, of 255; JPEG blurs the colours of small pictures
_THUMBNAIL = (8, 16)  # width and height
_BLOCK = 512  # hashes compared at a time with all others


class Picture(NamedTuple):
    """Decoded picture: equal pixels give equal values."""

    pixel_hash: str
    perceptual: int  # 64 bits
    thumbnail: bytes  # 8 x 16 RGB pixels

    @staticmethod
    def of(pixel_hash: str, picture: Image.Image) -> Picture:
        """Hashes of an RGB picture. The thumbnail tells pictures of equal brightness and other colours apart."""
        bits = np.packbits(imagehash.phash(picture).hash.flatten())
        small = picture.resize(_THUMBNAIL, Image.Resampling.BOX)
        return Picture(pixel_hash, int.from_bytes(bits.tobytes()), small.tobytes())


def near_copies(first: Sequence[Picture], second: Sequence[Picture]) -> Iterator[tuple[int, int]]:
    """Positions (in `first`, in `second`) of pictures that are near copies, but have other pixels."""
    if not first or not second:
        return
    others, thumbnails = _hashes(second), _thumbnails(second)
    for start in range(0, len(first), _BLOCK):
        block = first[start : start + _BLOCK]
        rows = _thumbnails(block)
        distance = np.bitwise_count(_hashes(block)[:, None] ^ others[None, :])
        for row, column in np.argwhere(distance <= MAX_BITS).tolist():
            if block[row].pixel_hash == second[column].pixel_hash:
                continue
            if float(np.abs(rows[row] - thumbnails[column]).mean()) <= MAX_DIFFERENCE:
                yield start + row, column


def _hashes(pictures: Sequence[Picture]) -> NDArray[np.uint64]:
    return np.array([picture.perceptual for picture in pictures], dtype=np.uint64)


def _thumbnails(pictures: Sequence[Picture]) -> NDArray[np.float32]:
    """Pixels of thumbnails [N, 384]."""
    joined = np.frombuffer(b"".join(picture.thumbnail for picture in pictures), dtype=np.uint8)
    return joined.reshape(len(pictures), -1).astype(np.float32)

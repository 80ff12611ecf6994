"""Image files: confined to their folder, verified by a full decode, decoded to small RGB arrays."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from gckd.errors import InputError, reason_of

Progress = Callable[[int, int], None]  # (done, total)
Item = TypeVar("Item")
Result = TypeVar("Result")

# Only these decoders run: others (EPS among them) start external programs.
DECODERS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF")
_JPEG_QUALITY = 80


class Inspected(NamedTuple):
    """What a full read of an image file found. Hashes are SHA-256 in hex, empty where `problem` is not."""

    content: str  # of the file's bytes
    pixels: str  # of the decoded RGB pixels and their shape: equal for the same picture in another lossless file
    problem: str  # why the image cannot be used, or ""


def confine(folder: Path, names: Iterable[str]) -> list[os.stat_result | None]:
    """Status of each image file (None where it is missing).

    Args:
        folder: the image folder, symbolic links resolved.
        names: paths relative to it.

    Raises:
        InputError: a path leads out of the folder through a symbolic link. Never skipped, unlike a broken image.
    """
    root = str(folder)

    @functools.cache
    def resolved(parent: str) -> str:  # one look-up for each sub-folder, not for each of its files
        return os.path.realpath(parent)

    def status(path: str) -> os.stat_result | None:
        try:
            found = os.lstat(path)
        except OSError:
            found = None
        linked = found is not None and stat.S_ISLNK(found.st_mode)
        real = os.path.realpath(path) if linked else resolved(os.path.dirname(path))
        if os.path.commonpath((root, real)) != root:
            raise InputError(f"{path}: leads out of the image folder {root}, to {real}")
        return os.stat(real) if linked and os.path.exists(real) else found

    return [status(os.path.join(root, name)) for name in names]


def inspect(path: Path) -> Inspected:
    """Reads, hashes and fully decodes one image file; a problem is returned, not raised."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return Inspected("", "", "not a file")
        encoded = path.read_bytes()
    except FileNotFoundError:
        return Inspected("", "", "missing")
    except OSError as error:
        return Inspected("", "", f"cannot be read ({reason_of(error)})")
    try:
        picture = _rgb(encoded)
    except Exception as error:  # the decoders raise nearly every type there is on damaged input
        why = "not an image" if isinstance(error, UnidentifiedImageError) else f"broken image ({error})"
        return Inspected("", "", why)
    pixels = hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).hexdigest()
    return Inspected(hashlib.sha256(encoded).hexdigest(), pixels, "")


def decode(encoded: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """Encoded image -> RGB pixels `[3, height, width]`, resized by antialiased bicubic interpolation."""
    picture = _rgb(encoded).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1)


def thumbnail(encoded: bytes, width: int, height: int) -> bytes:
    """Encoded image -> a JPEG that is no larger than this and keeps its shape."""
    picture = _rgb(encoded)
    picture.thumbnail((width, height))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


def _rgb(encoded: bytes) -> Image.Image:
    with Image.open(io.BytesIO(encoded), formats=DECODERS) as picture:
        if not picture.has_transparency_data:
            return picture.convert("RGB")
        drawn = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn).convert("RGB")


def in_parallel(
    task: Callable[[Item], Result], items: Sequence[Item], workers: int | None, progress: Progress | None = None
) -> Iterator[Result]:
    """`task` of each item, in order, by threads (the decoders and the hashes release the interpreter lock)."""
    pool = ThreadPoolExecutor(workers or os.cpu_count())
    try:
        for done, result in enumerate(pool.map(task, items), start=1):
            if progress:
                progress(done, len(items))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)

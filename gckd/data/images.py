"""Image files: confinement to their folder, verification by a full decode, decoding to small RGB arrays."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from gckd.data.rgb_picture import rgb_picture
from gckd.data.types import ItemProgress
from gckd.errors import InputError, reason_of
from gckd.storage.text_file import read_bytes

Item = TypeVar("Item")
Result = TypeVar("Result")

# No other decoder of Pillow may run: some of them (EPS for example) start external programs.
DECODERS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF")
MAX_PIXELS = 25_000_000  # of an image: 100 MB as RGBA, in each of the threads that decode
MAX_BYTES = 2**28  # of an image file; that many pixels of 64 bits, without compression, take less
DECODING = 3  # version of the pixels that a file is decoded to; part of the names of what is cached about them
_JPEG_QUALITY = 80
# Pillow warns above 89 million pixels, before the lower limit here refuses the image.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class ImageInspection(NamedTuple):
    """Result of reading one image file in full. The hashes are empty where `problem` is not."""

    file_hash: str  # SHA-256 of the file's bytes, in hex
    pixel_hash: str  # SHA-256 of size and RGB pixels, in hex: equal for the same picture in another lossless file
    problem: str  # reason why the image is unusable, or ""


def confine(folder: Path, names: Iterable[str]) -> list[os.stat_result | None]:
    """Check that image files lie inside their folder, and return their status.

    Args:
        folder: image folder, with symbolic links resolved.
        names: image paths relative to `folder`.

    Returns:
        The status of each file, None for a missing file.

    Raises:
        InputError: a path leaves the folder through a symbolic link. Such a path is never skipped as broken.
    """
    root = str(folder)

    @functools.cache
    def real_folder(path: str) -> str:  # one look-up for each sub-folder instead of one for each file
        return os.path.realpath(path)

    def confined_status(path: str) -> os.stat_result | None:
        try:
            status = os.lstat(path)
        except OSError:
            status = None
        is_link = status is not None and stat.S_ISLNK(status.st_mode)
        real = os.path.realpath(path) if is_link else real_folder(os.path.dirname(path))
        if os.path.commonpath((root, real)) != root:
            raise InputError(f"{path}: symbolic link to {real}, outside the image folder {root}")
        return os.stat(real) if is_link and os.path.exists(real) else status

    return [confined_status(os.path.join(root, name)) for name in names]


def inspect(path: Path) -> ImageInspection:
    """Read, hash and fully decode one image file. A problem is returned, not raised."""
    return inspect_picture(path)[0]


def inspect_picture(path: Path) -> tuple[ImageInspection, Image.Image | None]:
    """The result of `inspect`, and the RGB picture; None where there is a problem."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return ImageInspection("", "", "not a file"), None
        if status.st_size > MAX_BYTES:
            return ImageInspection("", "", f"{status.st_size:,} bytes; the limit is {MAX_BYTES:,} bytes"), None
        encoded = path.read_bytes()
    except FileNotFoundError:
        return ImageInspection("", "", "missing"), None
    except OSError as error:
        return ImageInspection("", "", f"cannot be read ({reason_of(error)})"), None
    try:
        picture = _rgb(encoded)
    except InputError as error:
        return ImageInspection("", "", str(error)), None
    pixel_hash = hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).hexdigest()
    return ImageInspection(hashlib.sha256(encoded).hexdigest(), pixel_hash, ""), picture


def decode_file(file: Path, height: int, width: int) -> NDArray[np.uint8]:
    """Result of `decode` for an image file.

    Raises:
        InputError: the file cannot be read, is larger than `MAX_BYTES`, or `decode` refuses it.
    """
    return decode(read_bytes(file, MAX_BYTES), height, width)


def decode(encoded: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """RGB pixels `[3, height, width]` uint8 of an encoded image, resized by antialiased bicubic interpolation.

    Raises:
        InputError: not an image, broken, or too large.
    """
    return _resized(_rgb(encoded), height, width)


def resized(picture: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    """RGB pixels `[3, height, width]` of a picture, as `decode` makes them of its file."""
    return _resized(rgb_picture(picture), height, width)


def thumbnail(encoded: bytes, width: int, height: int) -> bytes:
    """JPEG of at most `width` x `height` pixels of an encoded image, with its aspect ratio.

    Raises:
        InputError: not an image, broken, or too large.
    """
    picture = _rgb(encoded)
    picture.thumbnail((width, height))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


def _resized(picture: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC), dtype=np.uint8).transpose(2, 0, 1)


def _rgb(encoded: bytes) -> Image.Image:
    """RGB picture, rotated as its EXIF orientation says.

    Raises:
        InputError: not an image, broken, or more than `MAX_PIXELS` pixels by the header; then nothing is decoded.
    """
    try:
        with Image.open(io.BytesIO(encoded), formats=DECODERS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels; the limit is {MAX_PIXELS:,} pixels")
            return rgb_picture(picture)
    except UnidentifiedImageError as error:
        raise InputError("not an image") from error
    except Exception as error:  # damaged files make the decoders raise almost every exception type
        raise InputError(f"broken image ({reason_of(error)})") from error


def in_parallel(
    task: Callable[[Item], Result], items: Sequence[Item], workers: int | None, progress: ItemProgress | None = None
) -> Iterator[Result]:
    """Results of `task` for each item, in order, computed by threads.

    Threads suffice because the image decoders and the hashes release the interpreter lock.

    Args:
        workers: number of threads; None for one per core.
        progress: called with (items done, items in total) after each item.
    """
    pool = ThreadPoolExecutor(workers or os.cpu_count())
    try:
        for done, result in enumerate(pool.map(task, items), start=1):
            if progress:
                progress(done, len(items))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)

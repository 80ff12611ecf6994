"""Images in a folder and its sub-folders, without captions."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gckd.errors import InputError
from gckd.printable import is_text

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")


class ImageFile(NamedTuple):
    """A file, with the properties by which a change of it is noticed."""

    path: str  # relative to the folder, with forward slashes
    size: int  # bytes
    modified: int  # nanoseconds


def list_images(folder: Path) -> list[ImageFile]:
    """Files with the suffix of an image, in alphabetical order. Linked folders and hidden files are left out.

    Raises:
        InputError: there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: the folder does not exist; give a folder of images")
    images = sorted(_images(folder))
    if not images:
        raise InputError(f"{folder}: has no images ({', '.join(SUFFIXES)})")
    return images


def _images(folder: Path) -> Iterator[ImageFile]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(root, name)
            relative = path.relative_to(folder).as_posix()
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES or not is_text(relative):
                continue
            try:
                status = path.stat()
            except OSError:  # a broken link, or removed meanwhile
                continue
            if stat.S_ISREG(status.st_mode):  # to open a pipe would wait for its other end
                yield ImageFile(relative, status.st_size, status.st_mtime_ns)

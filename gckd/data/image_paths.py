"""Image paths of an annotation file, made relative to the image folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from gckd.data.caption_check import examples
from gckd.printable import shortened


def relative_to_images(names: Sequence[str], images: Path) -> tuple[list[str], list[str]]:
    """Image paths relative to the folder `images`, and one note for each kind of change.

    Windows separators become slashes. Folders up to the name of the image folder are removed: `imgs/a.jpg`,
    `CUHK-PEDES/imgs/a.jpg` and `C:\\data\\imgs\\a.jpg` become `a.jpg`. A path with a backslash that names a file keeps
    it, and nothing is removed where the image folder has a sub-folder of its own name.
    """
    has_inner = (images / images.name).is_dir()
    paths, windows, prefixes = [], 0, Counter[str]()
    for name in names:
        path = name
        if "\\" in path and not os.path.exists(images / path):
            path = path.replace("\\", "/")
            windows += 1
        prefix = "" if has_inner else _prefix(path, images.name)
        if prefix:
            path = path.removeprefix(prefix).lstrip("/")
            prefixes[prefix] += 1
        paths.append(path)
    notes = [f"{windows:,} image paths have Windows separators; read with /"] if windows else []
    if prefixes:
        listed = examples(map(shortened, prefixes))
        notes.append(f"{prefixes.total():,} image paths begin with {listed}; read relative to {images}")
    return paths, notes


def is_inside(path: str) -> bool:
    """Whether a path, with `/`, names something in the folder to which it is relative."""
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and "\0" not in path


def _prefix(path: str, folder: str) -> str:
    """Start of a path up to and with the folder; empty if the path has no such folder."""
    if path.startswith(f"{folder}/"):
        return f"{folder}/"
    head, inner, _ = path.partition(f"/{folder}/")
    return head + inner if inner else ""

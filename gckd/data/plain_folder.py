"""Plain folder of images with captions.csv or captions.jsonl, completed where identities or splits are left out.

Columns: image, a path relative to the folder; caption; optional identity; optional split. One line for each caption.
Without identities, each image is its own identity. Without splits, identities are split by a hash of their names.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from gckd.data.caption_lines import CaptionLine, cell, read_caption_lines
from gckd.data.identities import number_identities
from gckd.data.image_paths import is_inside, relative_to_images
from gckd.data.types import SPLITS, Record
from gckd.errors import InputError
from gckd.printable import brief, shortened

PLAIN_FILES = ("captions.csv", "captions.jsonl")
VAL_SHARE, TEST_SHARE = 0.1, 0.2  # of the identities, where the file has no splits


def read_plain_folder(file: Path) -> tuple[list[Record], tuple[str, ...]]:
    """Records of a file, one for each line, and notes on what it leaves out.

    Raises:
        InputError: see `read_caption_lines`.
    """
    both = [file.parent / name for name in PLAIN_FILES]
    if all(path.is_file() for path in both):
        raise InputError(f"{file.parent}: has {' and '.join(PLAIN_FILES)}; remove one of the two")
    lines, ignored = read_caption_lines(file)
    images, notes = _image_paths(file, lines)
    _check_same_values(file, lines, images)
    given = any(line.identity is not None for line in lines)
    names = [line.identity if line.identity is not None else image for line, image in zip(lines, images, strict=True)]
    if not given:
        notes.append(without_identities(len(set(images))))
    keys = [str(name) for name in names]
    splits = _splits_of(file, lines, keys)
    if splits:
        notes.append(_without_splits(Counter(splits.values()), "identities" if given else "images"))
    if ignored:
        notes.append(f"columns that are not read: {shortened(', '.join(ignored))}")
    numbers, _ = number_identities(names if given else _ranks(images))
    records = [
        Record(image, line.captions, number, splits.get(key) or str(line.split))
        for line, image, number, key in zip(lines, images, numbers, keys, strict=True)
    ]
    return records, tuple(notes)


def without_identities(count: int) -> str:
    """Note on a dataset of `count` images without identities."""
    return (
        f"no identities are given: each of the {count:,} images is its own identity. Retrieval of a person cannot be "
        "measured: only the image that a caption was written for counts as right, other images of the person as wrong"
    )


def _without_splits(counts: Mapping[str, int], unit: str) -> str:
    listed = ", ".join(f"{counts[split]:,} {split}" for split in SPLITS)
    return f"no splits are given: {unit} are split by a hash of their names ({listed})"


def _image_paths(file: Path, lines: Sequence[CaptionLine]) -> tuple[list[str], list[str]]:
    """Image paths relative to the folder of the file, and notes on changes."""
    paths, notes = relative_to_images([line.image for line in lines], file.parent)
    for path, line in zip(paths, lines, strict=True):
        if not is_inside(path):
            where = cell(file, line.number, "image")
            raise InputError(f"{where}: {brief(line.image)}; expected a path inside the folder {file.parent}")
    return [str(PurePosixPath(path)) for path in paths], notes


def _check_same_values(file: Path, lines: Sequence[CaptionLine], images: Sequence[str]) -> None:
    """Check that a column is filled on all lines or on none, and that all lines of an image agree."""
    for column in ("identity", "split"):
        values = [getattr(line, column) for line in lines]
        filled = next((line for line, value in zip(lines, values, strict=True) if value is not None), None)
        first_lines: dict[str, CaptionLine] = {}
        for line, image, value in zip(lines, images, values, strict=True):
            if value is None and filled is not None:
                remedy = f"line {filled.number} has one; fill all lines, or none"
                raise InputError(f"{cell(file, line.number, column)}: is empty, but {remedy}")
            first = first_lines.setdefault(image, line)
            if getattr(first, column) != value:
                expected = f"{brief(getattr(first, column))}, as on line {first.number} for the same image"
                raise InputError(f"{cell(file, line.number, column)}: {brief(value)}; expected {expected}")


def _splits_of(file: Path, lines: Sequence[CaptionLine], keys: Iterable[str]) -> dict[str, str]:
    """Split of each identity by its name; empty where the file has splits.

    Identities are ranked by the SHA-256 of their names: the first fifth is test, the next tenth val, the others train.
    A new identity therefore moves few others.
    """
    splits = {line.split for line in lines}
    if splits != {None}:
        for split in ("train", "test"):
            if split not in splits:
                remedy = "add such lines, or leave the column out; a fixed rule then splits the images"
                raise InputError(f"{file}: no line has the split {split!r}; {remedy}")
        return {}
    ranked = sorted(set(keys), key=lambda key: hashlib.sha256(key.encode()).digest())
    if len(ranked) < len(SPLITS):
        raise InputError(f"{file}: {len(ranked)} identities cannot be split into {', '.join(SPLITS)}; give at least 3")
    test = max(1, round(TEST_SHARE * len(ranked)))
    val = max(1, round(VAL_SHARE * len(ranked)))
    names = ["test"] * test + ["val"] * val + ["train"] * (len(ranked) - test - val)
    return dict(zip(ranked, names, strict=True))


def _ranks(images: Sequence[str]) -> list[int]:
    """Number of each image in alphabetical order."""
    numbers = {image: number for number, image in enumerate(sorted(set(images)))}
    return [numbers[image] for image in images]

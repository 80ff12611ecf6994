"""Check sums of the files of a store, which its meta.json keeps."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from gckd.data.arrow_file import COLUMNS
from gckd.data.types import SPLITS
from gckd.storage.json_file import read_json

META = "meta.json"
SUMS_SCHEMA = {"type": "object", "additionalProperties": {"type": "string"}}
_SMALL = ("captions.arrow", "labels.arrow")  # compared whenever a store is opened; images take gigabytes


def store_sums(folder: Path) -> dict[str, str]:
    """SHA-256 of each Arrow file of a store: `train/labels.arrow` -> digest in hex."""
    return {f"{split}/{name}": _file_digest(folder / split / name) for split in SPLITS for name in COLUMNS}


def changed_file(folder: Path, sums: Mapping[str, str]) -> str:
    """First of the small files with another check sum, `SPLIT/NAME`; empty if there is none.

    Raises:
        OSError: a file cannot be read.
    """
    paths = (f"{split}/{name}" for split in SPLITS for name in _SMALL)
    return next((path for path in paths if _differs(folder, path, sums)), "")


def are_images_changed(file: Path) -> bool:
    """Whether the images.arrow of a split has another check sum than its store's meta.json says.

    Raises:
        InputError: meta.json is missing or damaged.
    """
    folder = file.parents[1]
    meta = read_json(folder / META, {"properties": {"check_sums": SUMS_SCHEMA}}, f"delete the folder {folder}")
    return _differs(folder, f"{file.parent.name}/{file.name}", meta.get("check_sums", {}))


def _differs(folder: Path, path: str, sums: Mapping[str, str]) -> bool:
    """Whether a file has another check sum. Stores of earlier versions have none."""
    return path in sums and sums[path] != _file_digest(folder / path)


def _file_digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

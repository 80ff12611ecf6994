"""Arrow store of a dataset: encoded images, captions and labels, named by their content and built once.

Layout under the cache folder:

    stores/<digest>/meta.json
    stores/<digest>/<split>/images.arrow    image: binary; rows ordered by the hash of the image file
    stores/<digest>/<split>/captions.arrow  caption: string; rows ordered by the hash of the caption
    stores/<digest>/<split>/labels.arrow    one row of two lists: image_identity [N], caption_image [M]
    stores/index/<key>.json                 digest of the store of a dataset folder, by the state of its files

Images and captions are each ordered by a hash of the row alone, so neither order reveals the pairing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gckd.data.splits import LabelledSplit, UnlabelledSplit, split_problem
from gckd.data.store_sums import META, SUMS_SCHEMA, changed_file
from gckd.data.store_writer import ImageRow
from gckd.data.types import SPLITS
from gckd.errors import InputError, reason_of, unknown_choice
from gckd.storage.json_file import read_json
from gckd.storage.path import expanded

INDEX = "index"
_COUNTS = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}
META_SCHEMA = {
    "type": "object",
    "required": ["version", "digest", "format", "counts", "notes", "skipped"],
    "properties": {
        "version": {"type": "integer"},
        "digest": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "format": {"type": "string"},
        "counts": {
            "type": "object",
            "required": list(SPLITS),
            "propertyNames": {"enum": list(SPLITS)},
            "additionalProperties": _COUNTS | {"required": ["images", "identities", "captions"]},
        },
        "notes": {"type": "array", "items": {"type": "string"}},
        "skipped": {"type": "integer"},
        "check_sums": SUMS_SCHEMA,  # absent in stores of earlier versions, and in uploaded ones
    },
}
VERSION = 1  # of the layout above; part of the digest and the index key, so that a new layout gets new names


@dataclass(frozen=True)
class Store:
    """One dataset in Arrow files, ready for training."""

    path: Path
    digest: str  # of image bytes, captions, identities and splits; not of folder, file names and record order
    format: str  # format that the dataset was read as, for example "cuhk-pedes"
    counts: dict[str, dict[str, int]]  # split -> number of images, identities and captions
    notes: tuple[str, ...]  # printed below result tables
    skipped: int  # number of broken images left out

    @staticmethod
    def open(path: Path) -> Store:
        """Open the store in folder `path`.

        Raises:
            InputError: the folder holds no store, or one of its files is missing or damaged.
        """
        remedy = f"delete the folder {path}; it is then built again"
        if not (path / META).is_file():
            raise InputError(f"{path}: not a dataset store (its {META} is missing); {remedy}")
        meta = read_json(path / META, META_SCHEMA, remedy)
        store = Store.from_meta(path, meta)
        for split, counts in store.counts.items():
            problem = split_problem(path / split, counts)
            if problem:
                raise InputError(f"{path / split}: damaged ({problem}); {remedy}")
        if changed := changed_file(path, meta.get("check_sums", {})):
            raise InputError(f"{path / changed}: damaged (its check sum is wrong); {remedy}")
        return store

    @staticmethod
    def is_whole(path: Path) -> bool:
        """Whether the folder `path` holds a store with all its files."""
        try:
            Store.open(path)
        except InputError:
            return False
        return True

    @staticmethod
    def from_meta(path: Path, meta: Mapping[str, Any]) -> Store:
        """Store in folder `path` with the content of its meta.json."""
        return Store(path, meta["digest"], meta["format"], meta["counts"], tuple(meta["notes"]), meta["skipped"])

    def labelled(self, split: str) -> LabelledSplit:
        """A split with identities and pairing: of the source, or for evaluation.

        Raises:
            InputError: unknown split.
        """
        folder = self._split_folder(split)
        return LabelledSplit.open(folder / "images.arrow", folder / "captions.arrow", folder / "labels.arrow")

    def unlabelled(self, split: str) -> UnlabelledSplit:
        """A split without labels, for training on the target. It never gets the path of the label file.

        Raises:
            InputError: unknown split.
        """
        folder = self._split_folder(split)
        return UnlabelledSplit.open(folder / "images.arrow", folder / "captions.arrow")

    def _split_folder(self, split: str) -> Path:
        if split not in self.counts:
            raise InputError(f"{unknown_choice('split', split, self.counts)}")
        return self.path / split


def stores_folder(cache: str | Path) -> Path:
    """Folder of all stores in a cache, created with its index folder if missing.

    Raises:
        InputError: the cache folder cannot be written.
    """
    root = expanded(cache).resolve() / "stores"
    try:
        (root / INDEX).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cache folder {cache}: cannot be written ({reason_of(error)})") from error
    return root


def content_digest(rows: Mapping[str, list[ImageRow]]) -> str:
    """Digest of a store's sorted rows, 16 hexadecimal digits.

    Args:
        rows: split -> sorted rows, for every split.
    """
    content = hashlib.sha256(f"gckd store {VERSION}\n".encode())
    for split in SPLITS:
        for row in rows[split]:
            content.update(json.dumps([split, row.file_hash, row.identity, row.captions]).encode() + b"\n")
    return content.hexdigest()[:16]

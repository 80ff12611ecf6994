"""Paths of the images of a split, in the order of its store, which keeps no paths."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from gckd.data.annotations import read_annotations
from gckd.data.datasets import is_store
from gckd.data.images import in_parallel
from gckd.data.splits import Images
from gckd.data.store_builder import state_key
from gckd.storage import atomic
from gckd.storage.cache import CachePath
from gckd.storage.json_file import read_json
from gckd.storage.shared_file import exclusive, usable

_PATHS = {"type": "array", "items": {"type": "string"}}


def split_paths(spec: str, split: str, images: Images, cache: CachePath) -> list[str]:
    """Path of each image of a split. Files are read at the first call; their paths are then kept in the cache.

    Args:
        spec: of the dataset.
        images: of the split, in its store.

    Returns:
        Absolute paths. For a dataset that is a store, or a file that has changed since it was stored, the split and the
        row in it, "test/12" for example.

    Raises:
        InputError: the annotations cannot be read.
    """
    rows = [f"{split}/{row}" for row in range(len(images))]
    if is_store(spec):
        return rows
    annotations = read_annotations(spec)
    names = sorted({record.image for record in annotations.records if record.split == split})
    file = (cache / "galleries" / f"paths-{state_key(annotations)}-{split}.json").local_path
    with exclusive(file):
        paths: list[str] | None = usable(file, _read)
        if paths is None or len(paths) != len(rows):
            paths = _matched(rows, images, [annotations.images / name for name in names])
            atomic.write(file, json.dumps(paths))
    return paths


def _read(file: Path) -> Any:
    return read_json(file, _PATHS, "delete it")


def _matched(rows: list[str], images: Images, files: list[Path]) -> list[str]:
    """Path of each row, by the hash of the content; copies of one file are assigned in alphabetical order."""
    by_hash: dict[bytes, list[Path]] = defaultdict(list)
    for path, content_hash in zip(files, in_parallel(_hash_of_file, files, None), strict=True):
        by_hash[content_hash].append(path)
    paths = []
    for row, name in enumerate(rows):
        candidates = by_hash[hashlib.sha256(images.encoded(row)).digest()]
        paths.append(str(candidates.pop(0)) if candidates else name)
    return paths


def _hash_of_file(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:  # a broken image, which the store has left out
        return b""

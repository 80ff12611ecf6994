"""Builder of a store: inspects the images, writes the Arrow files, and indexes stores by the state of a folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from gckd.data.annotations import require_splits
from gckd.data.images import DECODING, ImageInspection, confine, in_parallel, inspect
from gckd.data.store import INDEX, VERSION, Store, content_digest, stores_folder
from gckd.data.store_sums import META, store_sums
from gckd.data.store_writer import ImageRow, write_split
from gckd.data.types import SPLITS, Annotations, ItemProgress, Record
from gckd.errors import InputError
from gckd.storage import atomic
from gckd.storage.json_file import read_json

# Inspects image files and returns one result per file, in order.
ImageInspector = Callable[[Sequence[Path], ItemProgress | None], Iterable[ImageInspection]]
_ENTRY = {
    "type": "object",
    "required": ["digest", "broken", "blank"],
    "properties": {
        "digest": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "broken": {"type": "array", "items": {"type": "string"}},
        "blank": {"type": "integer"},
    },
}
UsableImage = tuple[Record, ImageInspection]


def build_store(
    annotations: Annotations,
    cache: str | Path,
    *,
    skip_broken: bool = False,
    workers: int | None = None,
    progress: ItemProgress | None = None,
    inspector: ImageInspector | None = None,
) -> Store:
    """Build the store of a dataset under `cache`, or open it if it exists. One process builds while others wait.

    Later calls compare the records and the size and modification time of the images; they read no image.

    Args:
        annotations: the dataset.
        cache: cache folder.
        skip_broken: leave out and count images that are missing, truncated or not images, instead of raising an error.
        workers: threads that read and decode images; None for one per core.
        progress: called with (images done, images in total).
        inspector: reads and checks image files in place of these threads.

    Raises:
        InputError: a broken image (unless `skip_broken`), an image outside the image folder, an empty split, or a
            cache folder that cannot be written.
    """
    root = stores_folder(cache)
    index = root / INDEX
    key = state_key(annotations)
    entry_file = index / f"{key}.json"
    with FileLock(index / f"{key}.lock"):
        entry = _read_entry(entry_file)
        if entry is None or not Store.is_whole(root / entry["digest"]):
            usable, broken = _inspect_images(annotations, skip_broken, inspector or _by_threads(workers), progress)
            entry = _build(annotations, root, key, usable, broken, workers)
            atomic.write(entry_file, json.dumps(entry))
    if entry["broken"] and not skip_broken:
        raise InputError(entry["broken"][0])
    store = Store.open(root / entry["digest"])
    # A folder with the same content may have been stored first; format, notes and skipped images are per folder.
    return replace(store, format=annotations.format, notes=_notes(annotations, entry), skipped=len(entry["broken"]))


def _read_entry(file: Path) -> dict[str, Any] | None:
    """Entry of the index; None if it is missing or damaged."""
    try:
        entry: dict[str, Any] = read_json(file, _ENTRY, "delete it")
    except InputError:
        return None
    return entry


def _notes(annotations: Annotations, entry: dict[str, Any]) -> tuple[str, ...]:
    skipped = len(entry["broken"])
    notes = [f"{skipped} broken images were left out"] if skipped else []
    if entry["blank"]:
        notes.append(f"{entry['blank']} empty captions were left out")
    return (*annotations.notes, *notes)


def state_key(annotations: Annotations) -> str:
    """Hash of the records and of the size and modification time of every image file.

    The records are hashed, not the annotation file, because the same file read by a changed reader is other data.
    """
    statuses = confine(annotations.images, [record.image for record in annotations.records])
    key = hashlib.sha256(json.dumps([VERSION, DECODING, annotations.format, str(annotations.images)]).encode())
    for record, status in zip(annotations.records, statuses, strict=True):
        stamp = (status.st_size, status.st_mtime_ns) if status else None
        key.update(json.dumps([record.image, record.captions, record.identity, record.split, stamp]).encode())
    return key.hexdigest()[:16]


def _build(
    annotations: Annotations,
    root: Path,
    key: str,
    usable: list[UsableImage],
    broken: list[str],
    workers: int | None,
) -> dict[str, Any]:
    """Write the store to a temporary folder, rename it to its digest, and return its index entry."""
    require_splits(tuple(record for record, _ in usable), annotations.file)
    rows = {
        split: sorted(ImageRow.of(annotations.images, record, i) for record, i in usable if record.split == split)
        for split in SPLITS
    }
    blank = sum(not caption.strip() for record, _ in usable for caption in record.captions)
    digest = content_digest(rows)
    entry = {"digest": digest, "broken": broken, "blank": blank}
    if Store.is_whole(root / digest):
        return entry
    shutil.rmtree(root / digest, ignore_errors=True)  # damaged
    with atomic.making(root / digest, f"partial-{key}") as partial:  # the lock excludes another writer
        counts = {split: write_split(rows[split], partial / split, workers) for split in SPLITS}
        meta = {"version": VERSION, "digest": digest, "format": annotations.format, "counts": counts}
        notes = {"notes": _notes(annotations, entry), "skipped": len(broken)}
        atomic.write(partial / META, json.dumps(meta | notes | {"check_sums": store_sums(partial)}))
    return entry


def _by_threads(workers: int | None) -> ImageInspector:
    return lambda paths, progress: in_parallel(inspect, paths, workers, progress)


def _inspect_images(
    annotations: Annotations, skip_broken: bool, inspector: ImageInspector, progress: ItemProgress | None
) -> tuple[list[UsableImage], list[str]]:
    """Records of usable images with their hashes, and one line for each broken image.

    Raises:
        InputError: the first broken image, unless `skip_broken`.
    """
    paths = [annotations.images / record.image for record in annotations.records]
    usable, broken = [], []
    for record, path, inspection in zip(annotations.records, paths, inspector(paths, progress), strict=True):
        if not inspection.problem:
            usable.append((record, inspection))
            continue
        broken.append(f"{path}: {inspection.problem}")
        if not skip_broken:
            raise InputError(broken[0])
    return usable, broken

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
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from gckd.data.annotations import require_splits
from gckd.data.images import ImageInspection, confine, in_parallel, inspect
from gckd.data.splits import LabelledSplit, UnlabelledSplit
from gckd.data.store_writer import ImageRow, write_split
from gckd.data.types import SPLITS, Annotations, ProgressCallback, Record
from gckd.errors import InputError, reason_of

META, INDEX = "meta.json", "index"
VERSION = 1  # of the layout above; part of the digest and the index key, so that a new layout gets new names

# Inspects image files and returns one result per file, in order.
ImageInspector = Callable[[Sequence[Path], ProgressCallback | None], Iterable[ImageInspection]]
UsableImage = tuple[Record, ImageInspection]


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
            InputError: the folder holds no store.
        """
        try:
            meta = json.loads((path / META).read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not a dataset store (its {META} is missing or broken)") from error
        return Store.from_meta(path, meta)

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
            raise InputError(f"split: unknown split {split!r}; choose from {', '.join(self.counts)}")
        return self.path / split


def build_store(
    annotations: Annotations,
    cache: Path,
    *,
    skip_broken: bool = False,
    workers: int | None = None,
    progress: ProgressCallback | None = None,
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
    key = _index_key(annotations)
    entry_file = index / f"{key}.json"
    with FileLock(index / f"{key}.lock"):
        entry = json.loads(entry_file.read_text()) if entry_file.exists() else None
        if entry is None or not (root / entry["digest"]).is_dir():
            usable, broken = _inspect_images(annotations, skip_broken, inspector or _by_threads(workers), progress)
            entry = _build(annotations, root, key, usable, broken, workers)
            _write_atomically(entry_file, entry)
    if entry["broken"] and not skip_broken:
        raise InputError(entry["broken"][0])
    store = Store.open(root / entry["digest"])
    # A folder with the same content may have been stored first; format, notes and skipped images are per folder.
    return replace(store, format=annotations.format, notes=_notes(annotations, entry), skipped=len(entry["broken"]))


def stores_folder(cache: Path) -> Path:
    """Folder of all stores in a cache, created with its index folder if missing.

    Raises:
        InputError: the cache folder cannot be written.
    """
    root = cache.resolve() / "stores"
    try:
        (root / INDEX).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cache folder {cache}: cannot be written ({reason_of(error)})") from error
    return root


def move_to_final_name(partial: Path, final: Path) -> None:
    """Rename a finished store from `partial` to `final`; discard it if the same content is there already."""
    try:
        os.replace(partial, final)
    except OSError:
        shutil.rmtree(partial)
        if not final.is_dir():
            raise


def _notes(annotations: Annotations, entry: dict[str, Any]) -> tuple[str, ...]:
    skipped = len(entry["broken"])
    notes = [f"{skipped} broken images were left out"] if skipped else []
    if entry["blank"]:
        notes.append(f"{entry['blank']} empty captions were left out")
    return (*annotations.notes, *notes)


def _index_key(annotations: Annotations) -> str:
    """Hash of the records and of the size and modification time of every image file.

    The records are hashed, not the annotation file, because the same file read by a changed reader is other data.
    """
    statuses = confine(annotations.images, [record.image for record in annotations.records])
    key = hashlib.sha256(json.dumps([VERSION, annotations.format, str(annotations.images)]).encode())
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
    if (root / digest).is_dir():
        return entry
    partial = root / f"partial-{key}"
    shutil.rmtree(partial, ignore_errors=True)  # left by a killed build; the lock excludes another writer
    counts = {split: write_split(rows[split], partial / split, workers) for split in SPLITS}
    meta = {"version": VERSION, "digest": digest, "format": annotations.format, "counts": counts}
    (partial / META).write_text(json.dumps(meta | {"notes": _notes(annotations, entry), "skipped": len(broken)}))
    move_to_final_name(partial, root / digest)
    return entry


def _by_threads(workers: int | None) -> ImageInspector:
    return lambda paths, progress: in_parallel(inspect, paths, workers, progress)


def _inspect_images(
    annotations: Annotations, skip_broken: bool, inspector: ImageInspector, progress: ProgressCallback | None
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


def _write_atomically(path: Path, value: Any) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value))
    os.replace(partial, path)

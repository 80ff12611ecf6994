"""The Arrow store: a dataset's images (encoded), captions and labels, named by their content, built once.

Layout under the cache folder:

    stores/<digest>/meta.json
    stores/<digest>/<split>/images.arrow    image: binary; rows in the order of their content hash
    stores/<digest>/<split>/captions.arrow  caption: string; rows in the order of their own hash
    stores/<digest>/<split>/labels.arrow    one row of two lists: image_identity [N], caption_image [M]
    stores/index/<key>.json                 what a dataset folder, as it lay on disk, was stored as

Images and captions are each ordered by a hash of the row alone, so neither order tells which belong together.
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

from gckd.data.images import Inspected, Progress, confine, in_parallel, inspect
from gckd.data.readers import require_splits
from gckd.data.splits import LabelledSplit, UnlabelledSplit
from gckd.data.store_writer import Row, write_split
from gckd.data.types import SPLITS, Annotations, Record
from gckd.errors import InputError, reason_of

META, INDEX = "meta.json", "index"
Look = Callable[[Sequence[Path], Progress | None], Iterable[Inspected]]
Sound = tuple[Record, Inspected]  # an image that can be used
VERSION = 1  # of the layout above; part of every name, so a change never meets old files


@dataclass(frozen=True)
class Store:
    """One dataset, ready to train on."""

    path: Path
    digest: str  # of image bytes, captions, identities and splits; folder, file names and entry order do not matter
    format: str
    counts: dict[str, dict[str, int]]  # split -> images, identities, captions
    notes: tuple[str, ...]  # what a table must say about this dataset
    skipped: int  # broken images left out

    @staticmethod
    def open(path: Path) -> Store:
        """The store in folder `path`.

        Raises:
            InputError: there is none.
        """
        try:
            meta = json.loads((path / META).read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not a dataset store (its {META} is missing or broken)") from error
        return Store.of(path, meta)

    @staticmethod
    def of(path: Path, meta: Mapping[str, Any]) -> Store:
        """The store in folder `path`, by what its meta.json says."""
        return Store(path, meta["digest"], meta["format"], meta["counts"], tuple(meta["notes"]), meta["skipped"])

    def labelled(self, split: str) -> LabelledSplit:
        """A split with identities and pairing: the source's, or one that is evaluated on."""
        folder = self._folder(split)
        return LabelledSplit.open(folder / "images.arrow", folder / "captions.arrow", folder / "labels.arrow")

    def unlabelled(self, split: str) -> UnlabelledSplit:
        """The same split as the target's trainer may see it; it is given the paths of two files and no other."""
        folder = self._folder(split)
        return UnlabelledSplit.open(folder / "images.arrow", folder / "captions.arrow")

    def _folder(self, split: str) -> Path:
        if split not in self.counts:
            raise InputError(f"split: {split!r} is not one of {', '.join(self.counts)}")
        return self.path / split


def build_store(
    ann: Annotations,
    cache: Path,
    *,
    skip_broken: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    look: Look | None = None,
) -> Store:
    """The store of a dataset under `cache`; built on the first call, by one process while others wait.

    Later calls compare the annotation file and the sizes and times of the images, and read no image.

    Args:
        skip_broken: leave out images that are missing, truncated or no images, and count them, instead of stopping.
        workers: threads that read and decode; all cores by default.
        progress: called with (images done, images in all).
        look: in the place of those threads: reads and decodes image files, and tells of each, in their order.

    Raises:
        InputError: a broken image (unless `skip_broken`); an image outside its folder; a split left empty; a cache
            folder that cannot be written.
    """
    root = stores(cache)
    index = root / INDEX
    key = _quick_key(ann)
    entry_file = index / f"{key}.json"
    with FileLock(index / f"{key}.lock"):
        entry = json.loads(entry_file.read_text()) if entry_file.exists() else None
        if entry is None or not (root / entry["digest"]).is_dir():
            kept, broken = _verify(ann, skip_broken, look or _by_threads(workers), progress)
            entry = _build(ann, root, key, kept, broken, workers)
            _write_atomically(entry_file, entry)
    if entry["broken"] and not skip_broken:
        raise InputError(entry["broken"][0])
    store = Store.open(root / entry["digest"])
    # The same content may have come from another folder first: how it was read is this folder's own.
    return replace(store, format=ann.format, notes=_notes(ann, entry), skipped=len(entry["broken"]))


def stores(cache: Path) -> Path:
    """The folder of all stores, made if it is missing, with that of their index and locks.

    Raises:
        InputError: the cache folder cannot be written.
    """
    root = cache.resolve() / "stores"
    try:
        (root / INDEX).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cache folder {cache}: cannot be used ({reason_of(error)})") from error
    return root


def take_name(partial: Path, final: Path) -> None:
    """A store that was made in the folder `partial` gets its name, unless the same content has taken it meanwhile."""
    try:
        os.replace(partial, final)
    except OSError:
        shutil.rmtree(partial)
        if not final.is_dir():
            raise


def _notes(ann: Annotations, entry: dict[str, Any]) -> tuple[str, ...]:
    skipped = len(entry["broken"])
    extra = [f"{skipped} broken images were left out"] if skipped else []
    if entry["blank"]:
        extra.append(f"{entry['blank']} empty captions were left out")
    return (*ann.notes, *extra)


def _quick_key(ann: Annotations) -> str:
    """Changes whenever a file is replaced or edited in the usual ways: name, size or modification time differ."""
    found = confine(ann.images, [r.image for r in ann.records])
    facts = hashlib.sha256(json.dumps([VERSION, ann.format, str(ann.images)]).encode())
    facts.update(ann.file.read_bytes())
    for record, status in zip(ann.records, found, strict=True):
        stamp = (status.st_size, status.st_mtime_ns) if status else None
        facts.update(json.dumps([record.image, record.split, stamp]).encode())
    return facts.hexdigest()[:16]


def _build(
    ann: Annotations, root: Path, key: str, kept: list[Sound], broken: list[str], workers: int | None
) -> dict[str, Any]:
    """Writes the store into a temporary folder and moves it to its name."""
    require_splits(tuple(record for record, _ in kept), ann.file)
    rows = {split: sorted(Row.of(ann.images, r, i) for r, i in kept if r.split == split) for split in SPLITS}
    blank = sum(not c.strip() for r, _ in kept for c in r.captions)
    digest = content_digest(rows)
    entry = {"digest": digest, "broken": broken, "blank": blank}
    if (root / digest).is_dir():
        return entry
    partial = root / f"partial-{key}"
    shutil.rmtree(partial, ignore_errors=True)  # left by a killed build; the lock says nobody writes to it
    counts = {split: write_split(rows[split], partial / split, workers) for split in SPLITS}
    meta = {"version": VERSION, "digest": digest, "format": ann.format, "counts": counts}
    (partial / META).write_text(json.dumps(meta | {"notes": _notes(ann, entry), "skipped": len(broken)}))
    take_name(partial, root / digest)
    return entry


def _by_threads(workers: int | None) -> Look:
    return lambda paths, progress: in_parallel(inspect, paths, workers, progress)


def _verify(
    ann: Annotations, skip_broken: bool, look: Look, progress: Progress | None
) -> tuple[list[Sound], list[str]]:
    """The records whose images are sound, with their hashes, and one line for each broken image."""
    paths = [ann.images / r.image for r in ann.records]
    kept, broken = [], []
    for record, path, found in zip(ann.records, paths, look(paths, progress), strict=True):
        if not found.problem:
            kept.append((record, found))
            continue
        broken.append(f"{path}: {found.problem}")
        if not skip_broken:
            raise InputError(broken[0])
    return kept, broken


def content_digest(rows: Mapping[str, list[Row]]) -> str:
    """Names a store by the sorted rows of its splits."""
    content = hashlib.sha256(f"gckd store {VERSION}\n".encode())
    for split in SPLITS:
        for row in rows[split]:
            content.update(json.dumps([split, row.content, row.identity, row.captions]).encode() + b"\n")
    return content.hexdigest()[:16]


def _write_atomically(path: Path, value: Any) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value))
    os.replace(partial, path)

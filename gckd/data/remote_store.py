"""Stores that lie elsewhere, in an object store as a rule: put there once, fetched once by each machine.

A kept store is the same files as one in the cache, and in its meta.json beside them whether its counts are the
published ones, which only the annotation file can tell.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock

from gckd.data.images import Progress
from gckd.data.splits import read_arrow
from gckd.data.store import INDEX, META, VERSION, Store, content_digest, stores, take_name
from gckd.data.store_writer import Row
from gckd.data.types import SPLITS
from gckd.errors import InputError, reason_of
from gckd.storage.path import StoragePath

_FILES = ("images.arrow", "captions.arrow", "labels.arrow")


@dataclass(frozen=True)
class KeptStore:
    """A store at a place, of which only the small meta.json has been read."""

    place: StoragePath
    meta: dict[str, Any]

    @staticmethod
    def at(place: StoragePath) -> KeptStore:
        """The store that is there.

        Raises:
            InputError: its object store cannot be asked; there is none; or another version of gckd has made it.
        """
        try:
            with (place / META).reading() as file:
                meta = json.loads(file.read_bytes())
        except InputError:
            raise
        except (OSError, ValueError) as error:
            raise InputError(f"{place}: not a dataset store (its {META} is missing or broken)") from error
        if not _is_meta(meta):
            raise InputError(f"{place}: not a dataset store (its {META} is of something else)")
        if meta["version"] != VERSION:
            raise InputError(f"{place}: a store of version {meta['version']}, and this gckd reads version {VERSION}")
        return KeptStore(place, meta)

    @property
    def digest(self) -> str:
        """That of the dataset it was made of."""
        return str(self.meta["digest"])

    def fetch(self, cache: Path, progress: Progress | None = None) -> Store:
        """The store under `cache`; fetched on the first call, by one process while others wait.

        Args:
            progress: called with (images fetched, images in all).

        Raises:
            InputError: a file is missing, or the content is not what meta.json says; a cache folder that cannot be
                written.
        """
        root = stores(cache)
        final = root / self.digest
        with FileLock(root / INDEX / f"{self.digest}.lock"):
            if not final.is_dir():
                partial = root / f"partial-{self.digest}"
                shutil.rmtree(partial, ignore_errors=True)  # left by a killed process
                self._fetch_into(partial, progress or (lambda done, total: None))
                take_name(partial, final)
        return Store.of(final, self.meta)

    def _fetch_into(self, folder: Path, progress: Progress) -> None:
        images = {split: self.meta["counts"][split]["images"] for split in SPLITS}
        done = 0
        for split in SPLITS:
            for name in _FILES:
                try:
                    (self.place / split / name).copy_to(StoragePath.at(folder / split / name))
                except FileNotFoundError as error:
                    raise InputError(f"{self.place}: not a whole store ({split}/{name} is missing)") from error
            done += images[split]
            progress(done, sum(images.values()))
        if _digest_of(folder) != self.digest:
            raise InputError(f"{self.place}: its content is not that of {self.digest}, as its {META} says")
        (folder / META).write_text(json.dumps(self.meta))


def keep_store(store: Store, place: StoragePath, published: str) -> None:
    """Puts a store at `place`, unless it is there; meta.json last, so that a part of one is never taken for a store.

    Args:
        published: the format's name if its counts are exactly those published for it, else empty.

    Raises:
        InputError: another dataset is there, or the place does not take it.
    """
    meta = place / META
    if meta.exists():
        held = KeptStore.at(place).digest
        if held != store.digest:
            raise InputError(f"{place}: holds another dataset ({held}, and this is {store.digest}); name another")
        return
    for split in SPLITS:
        for name in _FILES:
            StoragePath.at(store.path / split / name).copy_to(place / split / name)
    about = {"version": VERSION, "digest": store.digest, "format": store.format, "counts": store.counts}
    with meta.writing() as file:
        file.write_text(json.dumps(about | {"notes": store.notes, "skipped": store.skipped, "published": published}))


def _is_meta(meta: Any) -> bool:
    """Whether it says what this module relies on. The digest becomes the name of a folder."""
    try:
        counts = [meta["counts"][split]["images"] for split in SPLITS]
        known = [meta[name] for name in ("version", "format", "notes", "skipped")]
        return bool(counts and known and re.fullmatch("[0-9a-f]{16}", meta["digest"]))
    except (KeyError, TypeError):
        return False


def _digest_of(folder: Path) -> str:
    """The digest of what lies in a store's folder, computed anew."""
    try:
        return content_digest({split: list(_rows(folder / split)) for split in SPLITS})
    except (pa.ArrowException, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{folder}: not the files of a dataset store ({reason_of(error)})") from error


def _rows(folder: Path) -> Iterator[Row]:
    images, texts, labels = (read_arrow(folder / name) for name in _FILES)
    for table in (images, texts, labels):
        table.validate(full=True)
    captions: list[list[str]] = [[] for _ in range(len(images))]
    for text, image in zip(texts.column("caption").to_pylist(), labels.column("caption_image")[0].as_py(), strict=True):
        captions[image].append(text)
    identities = labels.column("image_identity")[0].as_py()
    for image, identity, own in zip(images.column("image"), identities, captions, strict=True):
        yield Row(hashlib.sha256(image.as_buffer()).hexdigest(), identity, tuple(sorted(own)), folder)

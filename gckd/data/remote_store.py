"""Stores outside the cache, usually in an object store: uploaded once, downloaded once by each machine.

The files equal those of a store in the cache. Its meta.json also says whether the counts are the published ones, which
only the annotation file can show.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from gckd.data.arrow_file import COLUMNS, read_arrow
from gckd.data.splits import split_problem
from gckd.data.store import INDEX, META_SCHEMA, VERSION, Store, content_digest, stores_folder
from gckd.data.store_sums import META, store_sums
from gckd.data.store_writer import ImageRow
from gckd.data.types import SPLITS, ItemProgress
from gckd.errors import InputError
from gckd.storage import atomic
from gckd.storage.json_file import MAX_BYTES, parse_json
from gckd.storage.path import StoragePath
from gckd.storage.text_file import read_bytes


@dataclass(frozen=True)
class RemoteStore:
    """Store at a folder or URI, of which only the small meta.json has been read."""

    location: StoragePath
    meta: dict[str, Any]

    @staticmethod
    def open(location: StoragePath) -> RemoteStore:
        """Read the metadata of the store at `location`.

        Raises:
            InputError: no answer from the object store, no store at `location`, or a store of another layout version.
        """
        if not (location / META).exists():
            raise InputError(f"{location}: not a dataset store (its {META} is missing)")
        with (location / META).reading() as file:
            text = read_bytes(file, MAX_BYTES)
        try:
            meta = parse_json(text, META_SCHEMA)
        except ValueError as error:
            raise InputError(f"{location}: not a dataset store (its {META} is damaged: {error})") from error
        if meta["version"] != VERSION:
            raise InputError(
                f"{location}: store of version {meta['version']}; this gckd reads version {VERSION}; store it again"
            )
        return RemoteStore(location, meta)

    @property
    def digest(self) -> str:
        """Digest of the content, see `gckd.data.store.content_digest`."""
        return str(self.meta["digest"])

    def download(self, cache: str | Path, progress: ItemProgress | None = None) -> Store:
        """Open the store under `cache`; the first process downloads it while others wait.

        Args:
            cache: cache folder.
            progress: called with (images downloaded, images in total).

        Raises:
            InputError: a file is missing, the content does not match its digest, or the cache folder cannot be written.
        """
        root = stores_folder(cache)
        final = root / self.digest
        with FileLock(root / INDEX / f"{self.digest}.lock"):
            if not Store.is_whole(final):
                shutil.rmtree(final, ignore_errors=True)  # damaged
                with atomic.making(final, f"partial-{self.digest}") as partial:
                    self._download_into(partial, progress or (lambda done, total: None))
        return Store.from_meta(final, self.meta)

    def _download_into(self, folder: Path, progress: ItemProgress) -> None:
        images = {split: self.meta["counts"][split]["images"] for split in SPLITS}
        done = 0
        for split in SPLITS:
            for name in COLUMNS:
                try:
                    (self.location / split / name).copy_to(StoragePath.at(folder / split / name))
                except FileNotFoundError as error:
                    raise InputError(f"{self.location}: incomplete store ({split}/{name} is missing)") from error
            done += images[split]
            progress(done, sum(images.values()))
        for split in SPLITS:
            problem = split_problem(folder / split, self.meta["counts"][split])
            if problem:
                raise InputError(f"{self.location}: damaged store ({split}: {problem}); store the dataset again")
        digest = _folder_digest(folder)
        if digest != self.digest:
            raise InputError(
                f"{self.location}: damaged store: digest {digest}, expected {self.digest}; store the dataset again"
            )
        atomic.write(folder / META, json.dumps(self.meta | {"check_sums": store_sums(folder)}))


def upload_store(store: Store, location: StoragePath, published: str) -> None:
    """Copy a store to `location`, unless the same store is there already.

    meta.json is written last, so that an interrupted upload is not taken for a store; the next call completes it.

    Args:
        store: store in the cache.
        location: folder or object store.
        published: format name if all counts equal those published for the format, else "".

    Raises:
        InputError: `location` holds another dataset, or its object store refuses the files.
        OSError: the folder cannot be written.
    """
    meta = location / META
    if meta.exists():
        existing = RemoteStore.open(location).digest
        if existing != store.digest:
            raise InputError(f"{location}: holds another dataset ({existing}, not {store.digest}); choose another")
        return
    for split in SPLITS:
        for name in COLUMNS:
            StoragePath.at(store.path / split / name).copy_to(location / split / name)
    fields = {"version": VERSION, "digest": store.digest, "format": store.format, "counts": store.counts}
    with meta.writing() as file:
        file.write_text(json.dumps(fields | {"notes": store.notes, "skipped": store.skipped, "published": published}))


def _folder_digest(folder: Path) -> str:
    """Digest of the files in a store's folder, computed from their content."""
    return content_digest({split: list(_rows(folder / split)) for split in SPLITS})


def _rows(folder: Path) -> Iterator[ImageRow]:
    images, texts, labels = (read_arrow(folder / name) for name in COLUMNS)
    captions: list[list[str]] = [[] for _ in range(len(images))]
    for text, image in zip(texts.column("caption").to_pylist(), labels.column("caption_image")[0].as_py(), strict=True):
        captions[image].append(text)
    identities = labels.column("image_identity")[0].as_py()
    for image, identity, texts_of_image in zip(images.column("image"), identities, captions, strict=True):
        file_hash = hashlib.sha256(image.as_buffer()).hexdigest()
        yield ImageRow(file_hash, identity, tuple(sorted(texts_of_image)), folder)

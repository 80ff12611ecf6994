"""What a config's `data.source` and `data.target` name: a folder in one of the formats, or a store that is kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gckd.data.images import Progress
from gckd.data.readers import read_annotations
from gckd.data.remote_store import KeptStore
from gckd.data.store import META, Look, Store, build_store
from gckd.data.types import Annotations
from gckd.data.validate import published_match
from gckd.storage.path import StoragePath


class Dataset(Protocol):
    """A dataset that has been found; none of its images has been read."""

    @property
    def spec(self) -> str:
        """Names it, whatever folder a process works in."""

    @property
    def name(self) -> str:
        """The last two parts of where it lies."""

    @property
    def published(self) -> str:
        """The format's name if its counts are exactly those published for it, else empty."""

    def stored(
        self, cache: Path, *, skip_broken: bool = False, progress: Progress | None = None, look: Look | None = None
    ) -> Store:
        """Its store under `cache`, made by the first process that asks, while others wait.

        Raises:
            InputError: see `build_store` and `KeptStore.fetch`.
        """


def find_dataset(spec: str) -> Dataset:
    """The dataset at `spec`.

    Args:
        spec: `PATH` or `FORMAT:PATH`, as `read_annotations` takes it; or where `gckd data store` has put one: a URI
            (s3://, gs://, abfs://) or a folder.

    Raises:
        InputError: there is none.
    """
    if is_kept(spec):
        return _Kept(KeptStore.at(StoragePath.at(spec)))
    return _Folder(read_annotations(spec))


def is_kept(spec: str) -> bool:
    """Whether a spec names a store, and no folder with images and annotations."""
    return "://" in spec or os.path.isfile(os.path.join(os.path.expanduser(spec), META))


@dataclass(frozen=True)
class _Folder:
    annotations: Annotations

    @property
    def spec(self) -> str:
        return f"{self.annotations.format}:{self.annotations.file.parent}"

    @property
    def name(self) -> str:
        folder = self.annotations.file.parent
        return f"{folder.parent.name}/{folder.name}"

    @property
    def published(self) -> str:
        return published_match(self.annotations) or ""

    def stored(
        self, cache: Path, *, skip_broken: bool = False, progress: Progress | None = None, look: Look | None = None
    ) -> Store:
        return build_store(self.annotations, cache, skip_broken=skip_broken, progress=progress, look=look)


@dataclass(frozen=True)
class _Kept:
    """Which broken images it is without was decided when it was made, and its notes say so."""

    kept: KeptStore

    @property
    def spec(self) -> str:
        return str(self.kept.place)

    @property
    def name(self) -> str:
        return "/".join(self.spec.split("/")[-2:])

    @property
    def published(self) -> str:
        return str(self.kept.meta.get("published", ""))

    def stored(
        self, cache: Path, *, skip_broken: bool = False, progress: Progress | None = None, look: Look | None = None
    ) -> Store:
        return self.kept.fetch(cache, progress)

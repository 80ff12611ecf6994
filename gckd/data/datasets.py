"""Datasets named by a config: an annotated image folder, or a finished store on another disk or in a bucket."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gckd.data.annotations import read_annotations
from gckd.data.dataset_check import published_match
from gckd.data.remote_store import RemoteStore
from gckd.data.store import Store
from gckd.data.store_builder import ImageInspector, build_store
from gckd.data.store_sums import META
from gckd.data.types import Annotations, ItemProgress
from gckd.storage.path import StoragePath, expanded


class Dataset(Protocol):
    """Dataset whose annotations or metadata have been read. No image has been read."""

    @property
    def spec(self) -> str:
        """Spec with absolute paths, valid in any working directory."""

    @property
    def name(self) -> str:
        """Last two parts of its path or URI."""

    @property
    def published(self) -> str:
        """Format name if all counts equal those published for the format, else an empty string."""

    def open_store(
        self,
        cache: str | Path,
        *,
        skip_broken: bool = False,
        progress: ItemProgress | None = None,
        inspector: ImageInspector | None = None,
    ) -> Store:
        """Open its store under `cache`; the first process builds or downloads it while others wait.

        Args:
            cache: cache folder.
            skip_broken: leave out unreadable images instead of raising an error.
            progress: called with (images done, images in total).
            inspector: reads and checks image files in place of local threads.

        Raises:
            InputError: see `gckd.data.store_builder.build_store` and `RemoteStore.download`.
        """


def find_dataset(spec: str | os.PathLike[str]) -> Dataset:
    """The dataset at `spec`.

    Args:
        spec: PATH or FORMAT:PATH of an annotated image folder (see `read_annotations`); or the folder or URI (s3://,
            gs://, abfs://) of a store that `gckd data store` wrote.

    Raises:
        InputError: there is no dataset at `spec`.
    """
    spec = os.fspath(spec)
    if is_store(spec):
        return _StoredDataset(RemoteStore.open(StoragePath.at(spec)))
    return _FolderDataset(read_annotations(spec))


def is_store(spec: str) -> bool:
    """Whether `spec` names a finished store; otherwise it names an annotated image folder."""
    return "://" in spec or os.path.isfile(os.path.join(expanded(spec), META))


@dataclass(frozen=True)
class _FolderDataset:
    annotations: Annotations

    @property
    def spec(self) -> str:
        return f"{self.annotations.format}:{self.annotations.folder}"

    @property
    def name(self) -> str:
        return self.annotations.name

    @property
    def published(self) -> str:
        return published_match(self.annotations) or ""

    def open_store(
        self,
        cache: str | Path,
        *,
        skip_broken: bool = False,
        progress: ItemProgress | None = None,
        inspector: ImageInspector | None = None,
    ) -> Store:
        return build_store(self.annotations, cache, skip_broken=skip_broken, progress=progress, inspector=inspector)


@dataclass(frozen=True)
class _StoredDataset:
    """Dataset that is already a store. Broken images were left out, or refused, when the store was built."""

    remote: RemoteStore

    @property
    def spec(self) -> str:
        return str(self.remote.location)

    @property
    def name(self) -> str:
        return "/".join(self.spec.split("/")[-2:])

    @property
    def published(self) -> str:
        return str(self.remote.meta.get("published", ""))

    def open_store(
        self,
        cache: str | Path,
        *,
        skip_broken: bool = False,
        progress: ItemProgress | None = None,
        inspector: ImageInspector | None = None,
    ) -> Store:
        return self.remote.download(cache, progress)

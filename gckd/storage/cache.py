"""Cache of files that runs share, in a local folder or in an object store with local copies.

Every entry's name contains a digest of everything that its content depends on, so that entries never become stale.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock

from gckd.storage.path import StoragePath, expanded

USER_CACHE = Path(platformdirs.user_cache_dir("gckd"))


@dataclass(frozen=True)
class CachePath:
    """The cache, or a file or folder in it: `cache / "a" / "b"`.

    For a cache in an object store, each machine keeps local copies below the user's cache folder, in a folder named by
    a digest of the store's URI. A pickled entry holds the cache's location, so each machine resolves its own copies.
    """

    _root: StoragePath
    _name: str = ""

    @classmethod
    def at(cls, location: str | Path | CachePath) -> CachePath:
        """The cache at a folder or URI (s3://, gs://, abfs://)."""
        return location if isinstance(location, CachePath) else cls(StoragePath.at(location))

    def __truediv__(self, name: str) -> CachePath:
        return CachePath(self._root, f"{self._name}/{name}")

    def __str__(self) -> str:
        return f"{self._root}{self._name}"

    @property
    def local_path(self) -> Path:
        """Path on this machine, whether or not the file exists."""
        digest = hashlib.sha256(str(self._root).encode()).hexdigest()[:16]
        return (self._root.local or expanded(USER_CACHE) / f"store-{digest}") / self._name.lstrip("/")

    @property
    def shared_path(self) -> StoragePath:
        """Path that all machines share: in the object store, or else `local_path`."""
        return StoragePath(str(self))

    def ensure_local(self) -> bool:
        """Download the file unless it is on this machine. Returns whether it exists.

        Raises:
            InputError: the store cannot be read.
        """
        return self.local_path.exists() or self.download()

    def download(self) -> bool:
        """Copy the file from the object store, replacing a local copy. Returns whether the store has it.

        Raises:
            InputError: the store cannot be read.
        """
        if self._root.local:
            return False
        self.local_path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.local_path}.fetch"):
            try:
                self.shared_path.copy_to(StoragePath.at(self.local_path))
            except FileNotFoundError:
                return False
        return True

    def upload(self) -> None:
        """Copy the local file to the object store, atomically; concurrent uploads from other machines are safe.

        Raises:
            InputError: the store cannot be written.
        """
        if not self._root.local:
            StoragePath.at(self.local_path).copy_to(self.shared_path)

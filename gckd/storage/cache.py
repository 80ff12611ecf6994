"""What runs share, each file named by all that it depends on: in a folder, or in an object store behind a folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock

from gckd.storage.path import StoragePath

USER = Path(platformdirs.user_cache_dir("gckd"))


@dataclass(frozen=True)
class CachePath:
    """The cache, or a file or folder of it: `cache / "a" / "b"`.

    Where the cache is in an object store, every machine has copies below the user's cache folder, in a folder named by
    the store's URI. Only where it is pickles, so that each machine finds its own copies.
    """

    _root: StoragePath
    _name: str = ""

    @classmethod
    def at(cls, where: str | Path | CachePath) -> CachePath:
        """The cache `where`: a folder, or a URI (s3://, gs://, abfs://)."""
        return where if isinstance(where, CachePath) else cls(StoragePath.at(where))

    def __truediv__(self, name: str) -> CachePath:
        return CachePath(self._root, f"{self._name}/{name}")

    def __str__(self) -> str:
        return f"{self._root}{self._name}"

    @property
    def here(self) -> Path:
        """Its path on this machine; there need not be anything."""
        name = hashlib.sha256(str(self._root).encode()).hexdigest()[:16]
        return (self._root.local or USER / f"store-{name}") / self._name.lstrip("/")

    @property
    def there(self) -> StoragePath:
        """Where all machines look for it: in the object store, or `here`."""
        return StoragePath(str(self))

    def present(self) -> bool:
        """Whether this file is here, fetched now if it is only in the object store."""
        return self.here.exists() or self.fetch()

    def fetch(self) -> bool:
        """Gets this file from the object store, in the place of one that is here; whether there was one.

        Raises:
            InputError: the store does not give it.
        """
        if self._root.local:
            return False
        self.here.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.here}.fetch"):
            try:
                self.there.copy_to(StoragePath.at(self.here))
            except FileNotFoundError:
                return False
        return True

    def put(self) -> None:
        """Puts this file, which is here, into the object store, whole; another machine may do the same.

        Raises:
            InputError: the store does not take it.
        """
        if not self._root.local:
            StoragePath.at(self.here).copy_to(self.there)

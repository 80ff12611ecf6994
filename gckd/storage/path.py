"""Where files are kept: at a local path, or in an object store (s3://, gs://, abfs://) through pyarrow."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gckd.errors import InputError, reason_of

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_REMOTE = "://"


@dataclass(frozen=True)
class StoragePath:
    """A file or a folder. `str` of it is what `StoragePath.at` reads; it pickles as that.

    A store in reach of S3's protocol that is not Amazon's is named by the variable AWS_ENDPOINT_URL.
    """

    _at: str

    @classmethod
    def at(cls, where: str | Path | StoragePath) -> StoragePath:
        """The place `where`; a local one by its absolute path."""
        text = str(where)
        return cls(text.rstrip("/") if _REMOTE in text else str(Path(text).expanduser().resolve()))

    def __str__(self) -> str:
        return self._at

    def __truediv__(self, name: str) -> StoragePath:
        return StoragePath(f"{self._at}/{name}")

    @property
    def parent(self) -> StoragePath:
        return StoragePath(self._at.rpartition("/")[0])

    @property
    def name(self) -> str:
        return self._at.rpartition("/")[2]

    @property
    def local(self) -> Path | None:
        """Its path; None where it is in an object store."""
        return None if _REMOTE in self._at else Path(self._at)

    def exists(self) -> bool:
        """Whether there is such a file or folder.

        Raises:
            InputError: its store cannot be asked.
        """
        if self.local:
            return self.local.exists()
        from pyarrow.fs import FileType

        system, path = self._opened()
        try:
            return bool(system.get_file_info(path).type != FileType.NotFound)
        except OSError as error:
            raise InputError(f"{self}: {reason_of(error)}") from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """A local file to write; it takes this place when the block ends, whole, and only if it did not raise.

        Raises:
            InputError: its store does not take it.
        """
        if self.local:
            self.local.parent.mkdir(parents=True, exist_ok=True)
            partial = self.local.with_name(f".{self.name}.partial")
            partial.unlink(missing_ok=True)
            yield partial
            _to_disk(partial)
            partial.replace(self.local)
            return
        with tempfile.TemporaryDirectory(prefix="gckd-") as scratch:
            file = Path(scratch) / self.name
            yield file
            StoragePath(str(file)).copy_to(self)  # an object appears when its last byte has arrived

    @contextlib.contextmanager
    def reading(self) -> Iterator[Path]:
        """A local file with what is here.

        Raises:
            FileNotFoundError: nothing is.
            InputError: its store does not give it.
        """
        if self.local:
            yield self.local
            return
        with tempfile.TemporaryDirectory(prefix="gckd-") as scratch:
            file = Path(scratch) / self.name
            self.copy_to(StoragePath(str(file)))
            yield file

    def probe(self) -> None:
        """Writes a small file into this folder and removes it.

        Raises:
            InputError, OSError: the folder cannot be written.
        """
        with (own := self / f".probe-{uuid.uuid4().hex}").writing() as file:
            file.touch()
        own.remove()

    def remove(self) -> None:
        """This file is gone; nothing if it was not there."""
        if self.local:
            self.local.unlink(missing_ok=True)
            return
        system, path = self._opened()
        with contextlib.suppress(FileNotFoundError):
            system.delete_file(path)

    def copy_to(self, other: StoragePath) -> None:
        """This file is what is at `other` too, whole; what is written here later changes nothing there.

        Two places in object stores must be of one store.

        Raises:
            FileNotFoundError: nothing is here.
            InputError: a store does not give or take it.
        """
        if self.local and other.local:
            self._link(self.local, other)
        elif other.local:
            with other.writing() as file:
                _transfer(self, StoragePath(str(file)), told_of=self)
        elif self.local:
            _transfer(self, other, told_of=other)
        else:
            (system, path), (_, target) = self._opened(), other._opened()
            system.copy_file(path, target)

    @staticmethod
    def _link(file: Path, other: StoragePath) -> None:
        with other.writing() as partial:
            try:
                os.link(file, partial)  # the next version of this file is another one, of the same name
            except OSError:  # a file system without links
                shutil.copyfile(file, partial)

    def _opened(self) -> tuple[FileSystem, str]:
        """Its file system, and the path in it.

        Raises:
            InputError: there is no such kind of store.
        """
        import pyarrow
        from pyarrow.fs import FileSystem, LocalFileSystem

        if self.local:
            return LocalFileSystem(), self._at
        try:
            system, path = FileSystem.from_uri(self._at)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, OSError) as error:
            raise InputError(f"{self}: {reason_of(error)}") from error
        return system, path


def _to_disk(file: Path) -> None:
    """Or a machine that loses power could have the new file's name with nothing in it, and the old file gone."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _transfer(source: StoragePath, target: StoragePath, *, told_of: StoragePath) -> None:
    """Copies a file from one file system to another."""
    from pyarrow.fs import copy_files

    (system, path), (its, new) = source._opened(), target._opened()
    try:
        copy_files(path, new, source_filesystem=system, destination_filesystem=its)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{told_of}: {reason_of(error)}") from error

"""Path of a file or folder, local or in an object store (s3://, gs://, abfs://), read and written through pyarrow."""

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

from gckd.errors import InputError, reason_of, unknown_choice
from gckd.printable import brief
from gckd.storage import atomic

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_URI_MARK = "://"
_SCHEMES = ("s3", "gs", "abfs")


def expanded(location: str | Path) -> Path:
    """A local path with `~` and `~user` replaced by the home folder.

    Raises:
        InputError: there is no such user, or no home folder; or no file can have this name.
    """
    if "\0" in str(location) or not _is_encodable(str(location)):
        raise InputError(f"{brief(str(location))}: has a NUL or half a character; a path has neither")
    try:
        return Path(location).expanduser()
    except RuntimeError as error:
        raise InputError(f"{location}: has no home folder; set HOME, or write the path without ~") from error


def _is_encodable(path: str) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class StoragePath:
    """A file or folder; `StoragePath.at(str(path))` equals `path`, which can be pickled.

    For a store that speaks S3's protocol but is not Amazon's, set the environment variable AWS_ENDPOINT_URL.
    """

    _location: str

    @classmethod
    def at(cls, location: str | Path | StoragePath) -> StoragePath:
        """The path of a location; local paths become absolute.

        Raises:
            InputError: a URI without a bucket.
        """
        text = str(location)
        if text.rstrip("/").endswith(":"):
            raise InputError(f"{text}: no bucket is given; expected a URI such as s3://BUCKET/NAME")
        return cls(text.rstrip("/") if _URI_MARK in text else str(expanded(text).resolve()))

    def __str__(self) -> str:
        return self._location

    def __truediv__(self, name: str) -> StoragePath:
        """Path below this one.

        Raises:
            InputError: `name` is empty or absolute, or has a part `..`.
        """
        if {"", ".", ".."} & set(name.split("/")):
            raise InputError(f"{self}: {name!r} is not the name of a file or folder in it")
        return StoragePath(f"{self._location}/{name}")

    @property
    def parent(self) -> StoragePath:
        return StoragePath(self._location.rpartition("/")[0])

    @property
    def name(self) -> str:
        return self._location.rpartition("/")[2]

    @property
    def local(self) -> Path | None:
        """The local path, or None for an object store."""
        return None if _URI_MARK in self._location else Path(self._location)

    def exists(self) -> bool:
        """Whether the file or folder exists.

        Raises:
            InputError: the store cannot be read.
        """
        if self.local:
            try:
                return self.local.exists()
            except OSError as error:  # a name that is too long
                raise InputError(f"{self}: {reason_of(error)}") from error
        from pyarrow.fs import FileType

        file_system, path = self._resolve()
        try:
            return bool(file_system.get_file_info(path).type != FileType.NotFound)
        except OSError as error:
            raise InputError(f"{self}: {reason_of(error)}") from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """A local scratch file to write. It replaces this path atomically when the block ends without an exception.

        Raises:
            InputError: the store cannot be written.
            OSError: the folder cannot be written.
        """
        if self.local:
            with atomic.writing(self.local) as partial:
                yield partial
            return
        with tempfile.TemporaryDirectory(prefix="gckd-") as scratch:
            file = Path(scratch) / self.name
            yield file
            StoragePath(str(file)).copy_to(self)  # an object appears when its last byte has arrived

    @contextlib.contextmanager
    def reading(self) -> Iterator[Path]:
        """A local file with the content of this path; temporary for an object store.

        Raises:
            FileNotFoundError: the path does not exist in the object store.
            InputError: the store cannot be read.
        """
        if self.local:
            yield self.local
            return
        with tempfile.TemporaryDirectory(prefix="gckd-") as scratch:
            file = Path(scratch) / self.name
            self.copy_to(StoragePath(str(file)))
            yield file

    def check_writable(self) -> None:
        """Write and remove a small file in this folder.

        Raises:
            InputError, OSError: the folder cannot be written.
        """
        with (probe := self / f".probe-{uuid.uuid4().hex}").writing() as file:
            file.touch()
        probe.remove()

    def remove(self) -> None:
        """Delete this file if it exists."""
        if self.local:
            self.local.unlink(missing_ok=True)
            return
        file_system, path = self._resolve()
        with contextlib.suppress(FileNotFoundError):
            file_system.delete_file(path)

    def copy_to(self, target: StoragePath) -> None:
        """Copy this file to `target` atomically; later writes to either path do not change the other.

        Copies between two object stores must stay within one store.

        Raises:
            FileNotFoundError: this file does not exist.
            InputError: a store cannot be read or written.
        """
        if self.local and target.local:
            self._link(self.local, target)
        elif target.local:
            with target.writing() as file:
                _transfer(self, StoragePath(str(file)), remote=self)
        elif self.local:
            _transfer(self, target, remote=target)
        else:
            (file_system, path), (_, target_path) = self._resolve(), target._resolve()
            file_system.copy_file(path, target_path)

    @staticmethod
    def _link(file: Path, target: StoragePath) -> None:
        with target.writing() as partial:
            try:
                os.link(file, partial)  # `writing` replaces files instead of changing them, so a link is a copy
            except OSError:  # the file system has no hard links
                shutil.copyfile(file, partial)

    def _resolve(self) -> tuple[FileSystem, str]:
        """The file system, and the path in it.

        Raises:
            InputError: the URI's scheme is unknown, or the store is unreachable.
        """
        import pyarrow
        from pyarrow.fs import FileSystem, LocalFileSystem

        if self.local:
            return LocalFileSystem(), self._location
        try:
            file_system, path = FileSystem.from_uri(self._location)
        except pyarrow.ArrowInvalid as error:
            scheme = self._location.partition(_URI_MARK)[0]
            if scheme in _SCHEMES:
                raise InputError(f"{self}: {reason_of(error)}") from error
            raise InputError(f"{self}: {unknown_choice('scheme', scheme, _SCHEMES)}") from error
        except (pyarrow.ArrowNotImplementedError, OSError) as error:
            raise InputError(f"{self}: {reason_of(error)}") from error
        return file_system, path


def _transfer(source: StoragePath, target: StoragePath, *, remote: StoragePath) -> None:
    """Copy a file from one file system to another. Errors name `remote`, the one of the two in an object store."""
    from pyarrow.fs import copy_files

    (source_system, source_path), (target_system, target_path) = source._resolve(), target._resolve()
    try:
        copy_files(source_path, target_path, source_filesystem=source_system, destination_filesystem=target_system)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{remote}: {reason_of(error)}") from error

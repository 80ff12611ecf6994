"""Files and folders that appear complete under their final name or not at all, also after a power failure."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_SUFFIX = ".partial"
_BLOCK = 2**20  # bytes


@contextlib.contextmanager
def writing(file: Path) -> Iterator[Path]:
    """A scratch file beside `file`. It replaces `file` when the block ends without an exception, else it is removed.

    A symbolic link under the name of `file` is replaced, not followed.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}{_SUFFIX}")
    partial.unlink(missing_ok=True)
    try:
        with naming(file):
            yield partial
            flush(partial)
            partial.replace(file)
            flush(file.parent)
    finally:
        # Also after success: renaming one of two hard links of a file to the other does nothing.
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def making(final: Path, scratch_name: str) -> Iterator[Path]:
    """A scratch folder beside the folder `final`, which it becomes when the block ends without an exception.

    It is discarded if there is an exception, or if another process has made `final` meanwhile.

    Args:
        scratch_name: name of the scratch folder. A folder of this name that a killed process has left is removed.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    partial = final.with_name(scratch_name)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with naming(final):
            partial.mkdir(parents=True)
            yield partial
            _move_folder(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name `path` in errors of the system that name no file: the system does not say which disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # without a number the message would be lost
            error.filename = error.filename or str(path)
        raise


def write(file: Path, content: str | bytes) -> None:
    """Replace the content of a file.

    Raises:
        OSError: see `writing`.
    """
    with writing(file) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def _move_folder(partial: Path, final: Path) -> None:
    """Write a folder to the disk and rename it, unless another process has made `final` meanwhile."""
    for folder, _, names in os.walk(partial):
        for name in names:
            flush(Path(folder, name))
        flush(Path(folder))
    try:
        partial.replace(final)
    except OSError:
        if not final.is_dir():
            raise
    flush(final.parent)


def remove_partial_files(folder: Path) -> None:
    """Remove the scratch files of `writing` that killed processes have left in a folder which no process uses now."""
    for partial in folder.rglob(f".*{_SUFFIX}"):
        partial.unlink(missing_ok=True)


def reserve(file: BinaryIO, size: int) -> None:
    """Append `size` bytes of zeros to a file, so that they are on the disk.

    Raises:
        OSError: the disk is full.
    """
    file.flush()
    start = file.tell()
    try:
        os.posix_fallocate(file.fileno(), start, size)
    except (AttributeError, OSError) as error:  # not on macOS, and not on every file system
        if isinstance(error, OSError) and error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
        for written in range(0, size, _BLOCK):
            file.write(bytes(min(_BLOCK, size - written)))
        file.flush()


def flush(path: Path) -> None:
    """Write a file, or the list of names in a folder, to the disk. Does nothing for folders on systems without that."""
    if os.name == "nt" and path.is_dir():
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)

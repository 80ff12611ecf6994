"""Files from the user, read up to a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gckd.errors import InputError, reason_of

if TYPE_CHECKING:
    from pathlib import Path


def read_bytes(file: Path, limit: int, name: str = "") -> bytes:
    """Content of a file of at most `limit` bytes; no more is read.

    Args:
        name: the file in error messages; its path by default.

    Raises:
        InputError: the file cannot be read, or is larger.
    """
    name = name or str(file)
    try:
        with file.open("rb") as stream:
            content = stream.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: also a path with a NUL
        raise InputError(f"{name}: cannot be read ({reason_of(error)})") from error
    if len(content) > limit:
        raise InputError(f"{name}: larger than its limit, {limit:,} bytes")
    return content


def read_text(file: Path, limit: int, name: str = "") -> str:
    """Content of a UTF-8 file of at most `limit` bytes.

    Args:
        name: the file in error messages; its path by default.

    Raises:
        InputError: the file cannot be read, is larger, or is not UTF-8.
    """
    try:
        return read_bytes(file, limit, name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{name or file}: cannot be read ({reason_of(error)})") from error

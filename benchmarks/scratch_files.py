"""Content of inputs, and their files in a scratch folder."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Reader = Callable[[bytes, Path], None]


class InvalidSeedError(Exception):
    """A mutated description of a file from which the file cannot be made."""


def json_value(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidSeedError from error


def bytes_of(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def write_file(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def replace_file(file: Path, content: bytes) -> None:
    """Replace a file that may be memory-mapped."""
    file.unlink()
    file.write_bytes(content)

"""The files of an output folder that a report is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from gckd.config import Config, from_yaml
from gckd.errors import InputError, reason_of

if TYPE_CHECKING:
    from pathlib import Path


def read_config(path: Path) -> Config:
    """The config in a YAML or JSON file.

    Raises:
        InputError: the file is missing, or no config.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({reason_of(error)})") from error
    config: Config = from_yaml(Config, text)
    return config


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """The rows of a record file.

    Raises:
        InputError: it is missing, or no such file.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; {path.parent} is no output of a run or table")
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as run records ({reason_of(error)})") from error
    return rows

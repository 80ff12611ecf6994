"""Checkpoint files: written atomically, and read without executing code from them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gckd.errors import InputError
from gckd.printable import brief
from gckd.storage.path import StoragePath
from gckd.storage.tensor_file import read_tensors

# Fields of the checkpoint of a training stage.
STAGE_FIELDS: Mapping[str, type] = {
    "digest": str,
    "step": int,
    "modules": dict,
    "optimizer": list,
    "curve": list,
    "seconds": float,
}


def save_atomically(path: str | Path | StoragePath, content: Any) -> None:
    """Write a checkpoint; an existing file is replaced only after the new one is complete.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    with StoragePath.at(path).writing() as file, file.open("wb") as opened:
        try:
            torch.save(content, opened)
        except RuntimeError as error:  # torch hides the error of the file
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_checkpoint(path: str | Path | StoragePath, fields: Mapping[str, type] | None = None) -> Any:
    """Content of a checkpoint that `save_atomically` wrote: tensors and plain values, on the CPU.

    Args:
        fields: names and types of the fields that the content must have, for example `STAGE_FIELDS`.

    Raises:
        InputError: the file is not a gckd checkpoint, or is damaged.
    """
    remedy = "give the checkpoint.pt of a run; to train again, delete the file"
    try:
        with StoragePath.at(path).reading() as file:
            content = read_tensors(file)
            damaged = _damaged_entry(file)
    except InputError as error:
        raise InputError(f"{path}: not a gckd checkpoint ({error})") from error
    except Exception as error:
        raise InputError(f"{path}: not a gckd checkpoint, or damaged; {remedy}") from error
    if damaged:
        raise InputError(f"{path}: is damaged: the check sum of {brief(damaged)} is wrong; {remedy}")
    if fields:
        values = content if isinstance(content, dict) else {}
        wrong = [name for name, kind in fields.items() if not isinstance(values.get(name), kind)]
        if wrong:
            raise InputError(f"{path}: not a gckd checkpoint, or damaged (no {', '.join(wrong)}); {remedy}")
    return content


def _damaged_entry(file: Path) -> str | None:
    """The first entry of a checkpoint whose bytes have another check sum than was stored. PyTorch does not compare."""
    with zipfile.ZipFile(file) as entries:
        return entries.testzip()

"""Checkpoint files: written atomically, and read without executing anything in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from gckd.errors import InputError
from gckd.storage.path import StoragePath


def save_atomically(path: Path | StoragePath, content: Any) -> None:
    """A crash while writing never costs the previous file."""
    with StoragePath.at(path).writing() as partial:
        torch.save(content, partial)


def load_checkpoint(path: Path | StoragePath) -> Any:
    """What `save_atomically` wrote; tensors and plain values only.

    Raises:
        InputError: the file is not a checkpoint.
    """
    try:
        with StoragePath.at(path).reading() as file:
            return torch.load(file, weights_only=True, map_location="cpu")
    except Exception as error:
        raise InputError(f"{path}: not a readable checkpoint ({type(error).__name__})") from error

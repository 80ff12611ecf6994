"""Checkpoint files: written atomically, and read without executing code from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from gckd.errors import InputError
from gckd.storage.path import StoragePath


def save_atomically(path: str | Path | StoragePath, content: Any) -> None:
    """Write a checkpoint; an existing file is replaced only after the new one is complete."""
    with StoragePath.at(path).writing() as file:
        torch.save(content, file)


def load_checkpoint(path: str | Path | StoragePath) -> Any:
    """Content of a checkpoint that `save_atomically` wrote: tensors and plain values, on the CPU.

    Raises:
        InputError: the file is not a gckd checkpoint, or is damaged.
    """
    try:
        with StoragePath.at(path).reading() as file:
            return torch.load(file, weights_only=True, map_location="cpu")
    except Exception as error:
        raise InputError(f"{path}: not a gckd checkpoint, or damaged; give the checkpoint.pt of a run") from error

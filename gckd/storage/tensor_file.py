"""Files of PyTorch from anybody, read without executing their code and without unpacking more than they hold."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gckd.errors import InputError
from gckd.printable import brief
from gckd.storage.zip_size import entry_names, unpacked_size

MAX_GROWTH = 4  # times the size of the file; PyTorch does not compress
_ALWAYS_ALLOWED = 2**20  # bytes
_ZIP = b"PK\x03\x04"


def read_tensors(file: Path) -> Any:
    """Content of a file that `torch.save` has written, on the CPU.

    Raises:
        InputError: an entry or a tensor of the file would take more than `MAX_GROWTH` times the size of the file, a
            tensor is sparse, quantized or without values, or the file holds a program (TorchScript).
        Exception: PyTorch cannot read the file; damaged files make it raise almost every exception type.
    """
    limit = max(_ALWAYS_ALLOWED, MAX_GROWTH * file.stat().st_size)
    _check_entries(file, limit)
    with warnings.catch_warnings(action="ignore"):  # PyTorch asks to report an issue about pickles of other programs
        content = torch.load(file, map_location="cpu", weights_only=True)
    for name, tensor in _tensors(content):
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            raise InputError(f"{file}: the tensor {brief(name)} is sparse, quantized or without values")
        size = tensor.numel() * tensor.element_size()
        if size > limit:  # one stored value can stand for many
            raise InputError(f"{file}: the tensor {brief(name)} takes {size:,} bytes; {_limit(limit)}")
    return content


def _check_entries(file: Path, limit: int) -> None:
    """Refuse a file whose entries would be unpacked to more than `limit` bytes, by the sizes that it declares.

    Raises:
        InputError: it is such a file, or holds a program beside the tensors (TorchScript).
    """
    with file.open("rb") as stream:
        if stream.read(len(_ZIP)) != _ZIP:
            return  # the format of PyTorch before version 1.6, which has no compression
    if (size := unpacked_size(file)) > limit:
        raise InputError(f"{file}: unpacks to {size:,} bytes; {_limit(limit)}")
    if "constants.pkl" in entry_names(file):  # PyTorch tells them apart by this name
        raise InputError(
            f"{file}: a TorchScript archive, which holds code; where you trust the file, save its tensors alone: "
            "torch.save(torch.jit.load('FILE').state_dict(), 'weights.pth')"
        )


def _limit(limit: int) -> str:
    return f"the limit is {limit:,} bytes, {MAX_GROWTH} times the size of the file"


def _tensors(content: Any) -> Iterator[tuple[Any, Tensor]]:
    """Every tensor in dictionaries, lists and tuples, by its key; each of these is visited once."""
    waiting: list[tuple[Any, Any]] = [("", content)]
    visited: set[int] = set()
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, Tensor):
            yield key, value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in visited:
            visited.add(id(value))
            waiting += value.items() if isinstance(value, Mapping) else enumerate(value)

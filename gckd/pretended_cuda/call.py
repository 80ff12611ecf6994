"""Call of an operator: its arguments, sorted by device, and the device of its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

CUDA = torch.device("cuda", 0)

_ATEN = torch.ops.aten
COPIES = {_ATEN.copy_.default, _ATEN._to_copy.default, _ATEN.copy.default, _ATEN._foreach_copy_.default}
INDEXED = {
    _ATEN.index.Tensor,
    _ATEN._unsafe_index.Tensor,
    _ATEN.index_put.default,
    _ATEN.index_put_.default,
    _ATEN._index_put_impl_.default,
}


class OnCuda:
    """Marker of pretended CUDA tensors."""


def on_cuda(value: object) -> bool:
    """Whether a value is a pretended CUDA tensor."""
    return isinstance(value, OnCuda)


def leaves(value: object) -> Iterator[object]:
    """Values in nested lists and tuples."""
    if isinstance(value, list | tuple):
        for part in value:
            yield from leaves(part)
    else:
        yield value


def mapped(kind: type, function: Callable[[Any], Any], value: Any) -> Any:
    """The same nested lists and tuples, with `function` applied to every leaf of class `kind`."""
    if isinstance(value, kind):
        return function(value)
    if type(value) in (list, tuple):
        return type(value)(mapped(kind, function, part) for part in value)
    return value


class Call:
    """One call of an operator, with its arguments as torch's dispatcher passes them."""

    def __init__(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.operator, self.args, self.kwargs = operator, args, kwargs
        values = list(leaves([*args, *kwargs.values()]))
        self.tensors = [value for value in values if isinstance(value, Tensor)]
        self.generators = [value for value in values if isinstance(value, torch._C.Generator)]
        self.cuda = [tensor for tensor in self.tensors if on_cuda(tensor)]
        self.cpu = [tensor for tensor in self.tensors if not on_cuda(tensor)]

    @property
    def in_place(self) -> bool:
        """Whether the operator changes its first argument."""
        return bool(self.operator._schema.name.endswith("_"))

    @property
    def runs_on_cuda(self) -> bool:
        """Whether the operator would run on the GPU, where its result would be."""
        if self.operator in INDEXED:
            return on_cuda(self.args[0])
        if self.operator in COPIES and self.operator is not _ATEN._to_copy.default:
            return on_cuda(self.tensors[0])
        device = self.kwargs.get("device")
        if device is None:
            return bool(self.cuda)
        # C++ takes a pretended tensor for a meta tensor, and asks for new tensors "like" it on that device.
        return torch.device(device).type in ("cuda", "meta")

"""Results of operators on tensors that have shapes only.

Where a result depends on values, it is the largest that can be: a mask selects every element. The CPU reads ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from gckd.pretended_cuda.call import COPIES, INDEXED, Call, mapped

_ATEN = torch.ops.aten
_META = torch.device("meta")


def shape_result(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Result of a call of which a tensor is, or would be, on the device: a meta tensor, or ones on the CPU.

    Args:
        args, kwargs: those of the call, with meta tensors in place of the device's.
    """
    if call.operator is _ATEN._local_scalar_dense.default:
        return torch.ones((), dtype=args[0].dtype, device="cpu").item()
    if call.operator in COPIES and not call.runs_on_cuda:
        return _copy_to_cpu(call, args, kwargs)
    args = mapped(Tensor, lambda tensor: tensor.to(_META), args)
    kwargs = {name: mapped(Tensor, lambda tensor: tensor.to(_META), value) for name, value in kwargs.items()}
    kwargs = {name: None if isinstance(value, torch._C.Generator) else value for name, value in kwargs.items()}
    args = mapped(torch._C.Generator, lambda generator: None, args)
    if kwargs.get("device") is not None:
        kwargs["device"] = _META
    if call.operator in INDEXED:
        args = (args[0], _without_masks(args[1]), *args[2:])
    return _SELECTIONS.get(call.operator, call.operator)(*args, **kwargs)


def _copy_to_cpu(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    if call.operator is _ATEN.copy_.default:
        return args[0].fill_(1)
    return torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype, device="cpu")


def _without_masks(indices: list[Tensor | None]) -> list[Tensor | None]:
    """The indices, with each mask replaced by the positions of all of its elements."""
    positions: list[Tensor | None] = []
    for index in indices:
        if index is not None and index.dtype in (torch.bool, torch.uint8):
            positions += [index.new_empty(index.numel(), dtype=torch.long)] * index.dim()
        else:
            positions.append(index)
    return positions


def _nonzero(mask: Tensor) -> Tensor:
    return mask.new_empty(mask.numel(), mask.dim(), dtype=torch.long)


def _masked_select(values: Tensor, mask: Tensor) -> Tensor:
    return values.new_empty(torch.broadcast_shapes(values.shape, mask.shape).numel())


def _bincount(values: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    return values.new_empty(max(minlength, values.numel()), dtype=torch.long if weights is None else weights.dtype)


def _unique(values: Tensor, ordered: bool = True, inverse: bool = False, counts: bool = False) -> tuple[Tensor, ...]:
    numbers = values.new_empty(values.numel(), dtype=torch.long)
    return values.new_empty(values.numel()), numbers.view(values.shape), numbers


_SELECTIONS: dict[Any, Callable[..., Any]] = {
    _ATEN.nonzero.default: _nonzero,
    _ATEN.masked_select.default: _masked_select,
    _ATEN.bincount.default: _bincount,
    _ATEN._unique2.default: _unique,
}

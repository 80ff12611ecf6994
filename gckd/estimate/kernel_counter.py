"""Counts of GPU work by part of a step, from the operators that reach the pretended CUDA device."""

from __future__ import annotations

import contextlib
import unittest.mock as mock
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.flop_counter import flop_registry

from gckd.pretended_cuda.call import COPIES, INDEXED, Call, leaves, on_cuda
from gckd.pretended_cuda.tensor import STATE, PretendedTensor, is_pinned

_ATEN = torch.ops.aten
_WITHOUT_KERNEL = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "set_", "resize_")
_WAITING = ("nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "equal", "bincount")
_SELECTING = {_ATEN.index.Tensor, _ATEN.embedding.default, _ATEN.index_select.default, _ATEN.gather.default}
_HALF = 2  # bytes
_SWEEP = 16  # operators between two checks for freed memory


@dataclass
class Counts:
    """Work of one part of a step."""

    kernels: int = 0
    casts: int = 0  # kernels that change the type of a tensor
    syncs: int = 0  # times at which the CPU waits for a result of the GPU
    uploads: int = 0  # copies from the CPU to the GPU
    pinned: int = 0  # uploads for which the CPU does not wait, from pinned memory
    flops: int = 0
    moved: int = 0  # bytes of the inputs and outputs of kernels
    peak: int = 0  # largest number of bytes allocated while the part runs

    def __add__(self, more: Counts) -> Counts:
        sums = {name: value + getattr(more, name) for name, value in vars(self).items()}
        return Counts(**sums | {"peak": max(self.peak, more.peak)})


class Kernel(NamedTuple):
    """Size of a kernel, from which its time on a GPU follows."""

    flops: int
    moved: int  # bytes of its inputs and outputs
    half: bool  # whether its inputs have 16 bits


class KernelCounter:
    """Observer of the pretended device. `rest`: part of the work that is in no other part.

    `kernels` has the number of kernels of each size.
    """

    def __init__(self, rest: str) -> None:
        self.counts: dict[str, Counts] = {}
        self.kernels: Counter[Kernel] = Counter()
        self._parts = [rest]
        self._storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self._allocated, self._operators = 0, 0

    @contextlib.contextmanager
    def observing(self) -> Iterator[None]:
        """Context in which operators are counted. Tensors made before are not part of the memory."""
        STATE.observers.append(self.observe)
        try:
            yield
        finally:
            STATE.observers.remove(self.observe)

    @contextlib.contextmanager
    def labelled(self, owner: Any, method: str, part: str) -> Iterator[None]:
        """Context in which the work of a method belongs to a part."""
        original = getattr(owner, method)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self._parts.append(part)
            try:
                return original(*args, **kwargs)
            finally:
                self._parts.pop()

        with mock.patch.object(owner, method, wrapper):
            yield

    def clear(self) -> None:
        """Set all counts to 0; memory that is allocated stays so."""
        self.counts.clear()
        self.kernels.clear()

    def observe(self, call: Call, result: Any) -> None:
        """Count an operator."""
        counts = self.counts.setdefault(self._parts[-1], Counts())
        counts.syncs += _waits(call)
        if not call.runs_on_cuda or not _has_kernel(call):
            return
        outputs = [value for value in leaves(result) if isinstance(value, PretendedTensor)]
        counts.kernels += 1
        moved = sum(tensor.numel() * tensor.element_size() for tensor in [*_read(call), *outputs])
        counts.moved += moved
        if call.operator is _ATEN._to_copy.default:
            counts.uploads += bool(call.cpu)
            counts.pinned += bool(call.kwargs.get("non_blocking")) and any(map(is_pinned, call.cpu))
            counts.casts += bool(call.cuda) and call.cuda[0].dtype != result.dtype
        elif call.operator in COPIES:
            counts.uploads += bool(call.cpu)
        formula = flop_registry.get(call.operator._overloadpacket)
        flops = formula(*call.args, **call.kwargs, out_val=result) if formula else 0
        counts.flops += flops
        self.kernels[
            Kernel(flops, moved, all(x.element_size() == _HALF for x in call.cuda if x.is_floating_point()))
        ] += 1
        self._allocate(outputs)
        counts.peak = max(counts.peak, self._allocated)

    def _allocate(self, outputs: list[PretendedTensor]) -> None:
        for tensor in outputs:
            storage = tensor.computed.untyped_storage()
            reference = StorageWeakRef(storage)
            if reference.cdata not in self._storages:
                self._storages[reference.cdata] = reference, storage.nbytes()
                self._allocated += storage.nbytes()
        self._operators += 1
        if self._operators % _SWEEP == 0:
            self._storages = {key: entry for key, entry in self._storages.items() if not entry[0].expired()}
            self._allocated = sum(size for _, size in self._storages.values())


def _read(call: Call) -> list[Any]:
    """Tensors that a kernel reads as a whole; rows that an index selects are counted by the result."""
    return [tensor for tensor in call.cuda if not (call.operator in _SELECTING and tensor is call.args[0])]


def _has_kernel(call: Call) -> bool:
    """Whether an operator computes; a view, an allocation or a copy of nothing launches no kernel."""
    if call.operator in COPIES and all(tensor.numel() == 0 for tensor in call.tensors):
        return False
    if call.operator._schema.name.partition("::")[2] in _WITHOUT_KERNEL:
        return False
    returns = call.operator._schema.returns
    return not any(value.alias_info is not None and not value.alias_info.is_write for value in returns)


def _waits(call: Call) -> bool:
    """Whether the CPU needs a result of the GPU: its values, or the number of selected elements."""
    if not call.cuda:
        return False
    name = call.operator._schema.name.partition("::")[2]
    if call.operator in COPIES:
        return not call.runs_on_cuda
    if call.operator in INDEXED:
        indices = [index for index in call.args[1] if isinstance(index, Tensor) and on_cuda(index)]
        return any(index.dtype in (torch.bool, torch.uint8) for index in indices)
    return name == "_local_scalar_dense" or name in _WAITING

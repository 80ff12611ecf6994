"""Rules of CUDA about the devices of the arguments of an operator."""

from __future__ import annotations

import torch
from torch import Tensor

from gckd.pretended_cuda.call import COPIES, INDEXED, Call, on_cuda
from gckd.pretended_cuda.generator import is_cuda_generator

_ATEN = torch.ops.aten
# Operators that accept a number as a CPU tensor of no dimension, beside those with torch's tag `pointwise`.
_ACCEPT_NUMBERS = {_ATEN.where.self, _ATEN.lerp.Tensor, _ATEN.fill_.Tensor}


def placement_fault(call: Call, cpu_group: bool) -> str | None:
    """Reason for which CUDA would refuse a call; None if it would run.

    Args:
        cpu_group: whether the process group transfers CPU tensors; NCCL alone does not.
    """
    if any(is_cuda_generator(generator) != call.runs_on_cuda for generator in call.generators):
        return "a generator of another device than the result"
    if call.operator.namespace == "c10d":
        is_barrier = "barrier" in str(call.operator)  # its tensor is only a placeholder
        return "NCCL transfers no CPU tensors" if call.cpu and not (cpu_group or is_barrier) else None
    if call.operator in COPIES:
        return None
    if call.operator in INDEXED:
        return _index_fault(call)
    return "tensors on two devices" if _mixes_devices(call) else None


def _index_fault(call: Call) -> str | None:
    """An index may be on the CPU, but an index on the GPU cannot select from a CPU tensor."""
    indexed, indices, *values = call.args
    if not on_cuda(indexed) and any(on_cuda(index) for index in indices):
        return "a CUDA index into a CPU tensor"
    if len(values) and isinstance(values[0], Tensor) and on_cuda(values[0]) != on_cuda(indexed):
        is_number = not on_cuda(values[0]) and values[0].dim() == 0
        return None if is_number else "indexed tensor and values on two devices"
    return None


def _mixes_devices(call: Call) -> bool:
    if not (call.cuda and call.cpu):
        return False
    accepts_numbers = torch.Tag.pointwise in call.operator.tags or call.operator in _ACCEPT_NUMBERS
    only_numbers = all(tensor.dim() == 0 for tensor in call.cpu)
    changes_cpu_tensor = call.in_place and not on_cuda(call.args[0])
    return not (accepts_numbers and only_numbers) or changes_cpu_tensor

"""Tensors that look like CUDA's to Python and C++, and compute on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gckd.pretended_cuda.attention import FUSED_ATTENTION
from gckd.pretended_cuda.call import CUDA, Call, OnCuda, mapped, on_cuda
from gckd.pretended_cuda.placement import placement_fault
from gckd.pretended_cuda.shapes import shape_result

_META = torch.device("meta")
_CPU = torch.device("cpu")


class PlacementError(RuntimeError):
    """CUDA would refuse the operation because of the devices of its arguments."""


@dataclass
class DeviceState:
    """State of the pretended device that is no tensor's."""

    cpu_group: bool = True  # whether the process group transfers CPU tensors
    in_backward: bool = False
    values: bool = True  # whether tensors have values; otherwise shapes only
    observers: list[Callable[[Call, Any], None]] = field(default_factory=list)  # called after each operator


STATE = DeviceState()


class PretendedTensor(OnCuda, torch.Tensor):
    """A tensor on `cuda:0` for Python; for C++, a meta tensor whose dispatch keys are CUDA's, such as for autocast.

    `computed` is the CPU tensor that holds the values, or a meta tensor if there are shapes only.
    """

    computed: Tensor

    @staticmethod
    def __new__(cls, computed: Tensor) -> PretendedTensor:
        with torch._C._DisableTorchDispatch(), torch._C.DisableTorchFunction():
            size, stride, dtype = computed.size(), computed.stride(), computed.dtype
            shape = torch.empty_strided(size, stride, dtype=dtype, device=_META)
        return torch.Tensor._make_subclass(cls, shape, False, dispatch_device=True, device_for_backend_keys=CUDA)

    def __init__(self, computed: Tensor) -> None:
        self.computed = computed

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)
    is_meta = property(lambda self: False)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]  # torch declares no types
        return f"PretendedTensor({self.computed!r})"

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("pretended CUDA: cannot convert a CUDA tensor to numpy; copy it to the CPU first")

    __array__ = numpy

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Saved as a CPU tensor, since a file with CUDA tensors could be read on this device only."""
        return self.computed.detach().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> PretendedTensor:
        if id(self) not in memo:
            copied = PretendedTensor(self.computed.clone()).requires_grad_(self.requires_grad)
            if hasattr(self, "_is_param"):  # by which torch recognises parameters of a tensor subclass
                copied._is_param = True
            memo[id(self)] = copied
        memorised: PretendedTensor = memo[id(self)]
        return memorised

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # torch calls it on the class
        cls, operator: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return execute(operator, args, kwargs or {})


def pinned_copy(tensor: Tensor) -> Tensor:
    """Stands in for `Tensor.pin_memory`: a copy that `is_pinned` recognises.

    Raises:
        RuntimeError: CUDA would refuse the tensor.
    """
    if on_cuda(tensor):
        raise RuntimeError("pretended CUDA: only dense CPU tensors can be pinned")
    if is_pinned(tensor):
        return tensor
    pinned = tensor.clone()
    pinned.pretended_pinned = True  # type: ignore[attr-defined]
    return pinned


def is_pinned(tensor: Tensor) -> bool:
    """Whether a CPU tensor is a result of `pinned_copy`."""
    return hasattr(tensor, "pretended_pinned")


class PretendedDevice(TorchDispatchMode):
    """Sees every operator, those without pretended tensors included: factories on `cuda`, and copies to it."""

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return execute(operator, args, kwargs or {})


def execute(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Result of an operator, computed on the CPU.

    Raises:
        PlacementError: CUDA would refuse the call.
    """
    if operator is torch.ops.prim.device.default:
        # The autograd engine asks, too: for a CUDA tensor it would look for streams.
        return _META if STATE.in_backward else CUDA
    call = Call(operator, args, kwargs)
    if fault := placement_fault(call, STATE.cpu_group):
        shapes = [tuple(tensor.shape) for tensor in call.cpu]
        raise PlacementError(f"pretended CUDA: {operator}: {fault} (CPU tensors {shapes}, {len(call.cuda)} on CUDA)")
    if operator is torch.ops.aten._fused_sdp_choice.default and call.cuda:
        return 0  # the formula; `scaled_dot_product_attention` of Python calls the fused kernel itself
    result = _computed(call)
    for observer in STATE.observers:
        observer(call, result)
    return result


def _computed(call: Call) -> Any:
    args = mapped(OnCuda, lambda tensor: tensor.computed, call.args)
    kwargs = {name: mapped(OnCuda, lambda tensor: tensor.computed, value) for name, value in call.kwargs.items()}
    if STATE.values or not (call.cuda or call.runs_on_cuda):
        if kwargs.get("device") is not None:
            kwargs["device"] = _CPU
        result = FUSED_ATTENTION.get(call.operator, call.operator)(*args, **kwargs)
    else:
        result = shape_result(call, args, kwargs)
    if call.in_place and call.args and isinstance(call.args[0], Tensor):
        _update_shape(call.args[0], args[0])
        return call.args[0]
    if "out" in call.kwargs:
        return call.kwargs["out"]
    return mapped(Tensor, _on_pretended_device, result) if call.runs_on_cuda else result


def _on_pretended_device(tensor: Tensor) -> Tensor:
    return tensor if on_cuda(tensor) else PretendedTensor(tensor)


def _update_shape(tensor: Tensor, computed: Tensor) -> None:
    """Give a pretended tensor the shape that an in-place operator such as `unsqueeze_` gave to its values."""
    if on_cuda(tensor) and (tensor.shape, tensor.stride()) != (computed.shape, computed.stride()):
        with torch._C.DisableTorchFunction(), torch._C._DisableTorchDispatch():
            tensor.data = PretendedTensor(computed)

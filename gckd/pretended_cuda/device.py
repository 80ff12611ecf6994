"""A pretended CUDA device: finds placement faults without a GPU.

    with pretended_cuda():
        train_run(config, ...)

Inside, torch reports one GPU. Tensors on `cuda` compute on the CPU, but look like CUDA tensors to Python and C++, and
operations that CUDA would refuse raise `PlacementError` (or TypeError for `numpy()`):

* tensors on two devices, except numbers (CPU tensors of no dimension) in pointwise operators;
* a generator of another device than the result;
* a CUDA index into a CPU tensor;
* conversion of a CUDA tensor to numpy;
* CPU tensors in a process group of NCCL alone;
* pinned memory for a CUDA tensor.

It checks placement only. It cannot tell whether a CUDA kernel exists for an operator, whether NCCL works, how fast
anything is, or whether `torch.compile` does. It uses private names of torch, so it is written for one version of it;
`FITS` tells whether this is that version, on a machine without a GPU.

`pretended_cuda(values=False)` computes nothing on the device: its tensors have shapes only, so that a full-size model
needs neither memory nor time. Where the CPU reads a value, it gets 1 (or True), and a mask selects every element.
"""

from __future__ import annotations

import contextlib
import platform
import unittest.mock as mock
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist
import torch.utils._foreach_utils as foreach
import torch.utils.checkpoint

from gckd.pretended_cuda.attention import attention
from gckd.pretended_cuda.device_guard import install_device_guard
from gckd.pretended_cuda.generator import PretendedGenerator
from gckd.pretended_cuda.tensor import STATE, PretendedDevice, PretendedTensor, pinned_copy

WRITTEN_FOR = "2.13.0"

FITS = (
    torch.__version__.partition("+")[0] == WRITTEN_FOR
    and (platform.system(), platform.machine()) == ("Linux", "x86_64")
    and not torch.cuda.is_available()
)

# Answers of a machine with one GPU, by the name of the function in torch.cuda.
_ANSWERS: dict[str, Any] = {
    "is_available": True,
    "_lazy_init": None,
    "is_bf16_supported": True,
    "set_device": None,
    "current_device": 0,
    "device_count": 1,
    "get_device_capability": (9, 0),
    "max_memory_allocated": 0,
    "synchronize": None,
}


@contextlib.contextmanager
def pretended_cuda(values: bool = True) -> Iterator[None]:
    """Context in which torch has one pretended GPU. `values`: whether its tensors have values, beside shapes."""
    install_device_guard()
    STATE.cpu_group, STATE.in_backward, STATE.values = True, False, values
    # `Module.to` replaces parameters, since `parameter.data = moved` cannot change the class of a tensor.
    previous = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(...) is computed on the CPU, then copied
    try:
        with contextlib.ExitStack() as stack:
            shape_patches = [] if values else _shape_patches()
            for owner, name, value in [*_cuda_patches(), *_autograd_patches(), *shape_patches]:
                stack.enter_context(mock.patch.object(owner, name, value))
            stack.enter_context(PretendedDevice())  # type: ignore[no-untyped-call]
            yield
    finally:
        torch._C._set_only_lift_cpu_tensors(False)
        torch.__future__.set_overwrite_module_params_on_conversion(previous)


def _cuda_patches() -> list[tuple[Any, str, Any]]:
    """Replacements of torch's functions about devices: (module, name, replacement)."""
    random, start_group = torch.default_generator, dist.init_process_group

    def answer(value: Any) -> Callable[..., Any]:
        return lambda *_, **__: value

    def gloo_group(backend: str | None = None, *args: Any, **kwargs: Any) -> None:
        STATE.cpu_group = backend is None or backend == "gloo" or "cpu:" in backend
        start_group("gloo", *args, **kwargs)

    return [
        *((torch.cuda, name, answer(value)) for name, value in _ANSWERS.items()),
        (torch.cuda, "device", lambda device: contextlib.nullcontext()),
        (torch.cuda, "get_rng_state", lambda *_: random.get_state()),
        (torch.cuda, "set_rng_state", lambda state, *_: random.set_state(state)),
        (torch, "Generator", PretendedGenerator),
        (torch.Tensor, "pin_memory", pinned_copy),
        (torch.nn.functional, "scaled_dot_product_attention", attention),
        (foreach, "_foreach_supported_types", [torch.Tensor, torch.nn.Parameter, PretendedTensor]),
        (dist, "init_process_group", gloo_group),
    ]


def _shape_patches() -> list[tuple[Any, str, Any]]:
    """Replacements of functions that would repeat until the values fit."""
    return [(torch.nn.init, "_no_grad_trunc_normal_", lambda tensor, *_, **__: tensor)]


def _autograd_patches() -> list[tuple[Any, str, Any]]:
    """Replacements that note whether the backward pass is running; checkpointed layers compute a forward pass in it."""
    frame = torch.utils.checkpoint._CheckpointFrame
    initialise, run_backward = frame.__init__, torch.autograd._engine_run_backward  # type: ignore[attr-defined]

    def initialise_frame(self: Any, recompute: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        initialise(self, _noting_backward(False, recompute), *args, **kwargs)

    return [
        (torch.autograd, "_engine_run_backward", _noting_backward(True, run_backward)),
        (frame, "__init__", initialise_frame),
    ]


def _noting_backward(in_backward: bool, function: Callable[..., Any]) -> Callable[..., Any]:
    def noting(*args: Any, **kwargs: Any) -> Any:
        with mock.patch.object(STATE, "in_backward", in_backward):
            return function(*args, **kwargs)

    return noting

"""CUDA device guard for a torch that was built without CUDA.

C++ code that meets a CUDA tensor selects its device by a guard, and a CPU build has none. torch has a guard that does
nothing, but installs it only in place of a guard that reports no devices. So one is made here: a C++ object is a
pointer to its table of virtual functions, and every function in this table returns 0.

It works on Linux on x86-64. A torch that was built with CUDA has a guard, which reports no devices without a GPU.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch

_REGISTRY = "_ZN3c104impl26device_guard_impl_registryE"  # c10::impl::device_guard_impl_registry, by device type
_CUDA = 1  # c10::DeviceType::CUDA
_FUNCTIONS = 64  # more virtual functions than a guard has

_kept_alive: list[object] = []  # C++ holds pointers to these


def install_device_guard() -> None:
    """Install torch's CUDA guard that does nothing."""
    library = ctypes.CDLL(str(Path(torch.__path__[0]) / "lib" / "libc10.so"))
    registry = (ctypes.c_void_p * (_CUDA + 1)).in_dll(library, _REGISTRY)
    if not registry[_CUDA]:
        registry[_CUDA] = _guard_without_devices()
    torch._C._ensureCUDADeviceGuardSet()


def _guard_without_devices() -> int:
    """Address of a guard whose functions all return 0."""
    return_zero = ctypes.CFUNCTYPE(ctypes.c_int8, ctypes.c_void_p)(lambda this: 0)
    address = ctypes.cast(return_zero, ctypes.c_void_p).value
    functions = (ctypes.c_void_p * _FUNCTIONS)(*[address] * _FUNCTIONS)
    guard = ctypes.c_void_p(ctypes.addressof(functions))
    _kept_alive.extend((return_zero, functions, guard))
    return ctypes.addressof(guard)

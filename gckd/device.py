"""Device of a run, set as torch's default device, on which factories and loaders create tensors.

On the CPU, a run repeats exactly: with the same config, the same number of threads and the same versions, results are
identical, and so are those of a resumed run. On a GPU they are equal up to rounding only. CUDA sums the gradients of
repeated rows in the order in which its threads finish, and training magnifies the difference. The CPU and a GPU draw
different random numbers, so a run that resumes on the other device draws other batches and views from there on.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from typing import Concatenate, ParamSpec, TypeVar

import torch

from gckd.config.schema import Config
from gckd.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")


def on_device(name: str) -> contextlib.AbstractContextManager[object]:
    """Context in which new tensors are created on the device `name` (`config.device`: auto, cpu or cuda).

    On the CPU, it also makes gradients deterministic; CUDA has no deterministic kernel for all operations of a step.

    Raises:
        InputError: `cuda`, and torch sees no GPU.
    """
    gpu = torch.cuda.is_available()
    if name == "cuda" and not gpu:
        raise InputError("device: 'cuda' is outside its limit: torch sees no GPU here; use auto or cpu")
    # torch.device as a context slows every call down a little; on the CPU it is not needed.
    return torch.device("cuda") if gpu and name != "cpu" else _deterministic()


@contextlib.contextmanager
def _deterministic() -> Iterator[None]:
    """Sum gradients in a fixed order. Otherwise the order in which threads add gradients of indexing would vary."""
    previous_fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    previous_mode = torch.get_deterministic_debug_mode()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # slow debugging aid
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(previous_mode)
        torch.utils.deterministic.fill_uninitialized_memory = previous_fill  # type: ignore[attr-defined]


def on_config_device(function: Callable[Concatenate[Config, P], R]) -> Callable[Concatenate[Config, P], R]:
    """Decorator: run a function of a config on the device of the config."""

    @functools.wraps(function)
    def wrapper(config: Config, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with on_device(config.device):
            return function(config, *args, **kwargs)

    return wrapper


def cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

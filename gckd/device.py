"""Where a run computes: factories and loaders make their tensors on torch's default device, which a run sets."""

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
    """A context in which new tensors are made on the device that `config.device` names; the CPU's adds in one order.

    Raises:
        InputError: it names a GPU, and torch sees none.
    """
    gpu = torch.cuda.is_available()
    if name == "cuda" and not gpu:
        raise InputError("device: 'cuda' is outside its limit: torch sees no GPU here; use auto or cpu")
    # The context costs a little at every call, so the CPU does without.
    return torch.device("cuda") if gpu and name != "cpu" else _in_one_order()


@contextlib.contextmanager
def _in_one_order() -> Iterator[None]:
    """Equal config and seed give equal weights: a gradient of indexing is else added up as two threads come to it."""
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    before = torch.get_deterministic_debug_mode()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # slow, to find mistakes
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


def on_its_device(function: Callable[Concatenate[Config, P], R]) -> Callable[Concatenate[Config, P], R]:
    """Makes a function of a config compute where the config says."""

    @functools.wraps(function)
    def placed(config: Config, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with on_device(config.device):
            return function(config, *args, **kwargs)

    return placed


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

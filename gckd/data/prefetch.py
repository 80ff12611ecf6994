"""Batches that a thread loads while the step before them runs, and copies to the GPU that the CPU does not wait for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch
from torch import Tensor

from gckd.data.types import ROWS, SourceBatch, TargetBatch

Batch = TypeVar("Batch", bound=SourceBatch | TargetBatch)


class Prefetcher(Generic[Batch]):
    """Batches by step. Inside `running`, a thread loads the next one.

    A batch is a function of its step, so results do not depend on the timing of the thread. An error of the thread is
    raised by the call of `batch` for that step.

    Args:
        load: step -> batch on the CPU.
    """

    def __init__(self, load: Callable[[int], Batch]) -> None:
        self._load = load
        self._pool: ThreadPoolExecutor | None = None
        self._next: tuple[int, Future[Batch]] | None = None  # a step and its batch

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Context in which batches are loaded ahead. Its thread starts at the first batch and ends with the context."""
        self._pool = _one_thread()
        try:
            yield
        finally:
            self._pool.shutdown(cancel_futures=True)
            self._pool = self._next = None

    def batch(self, step: int) -> Batch:
        """Batch of a step on the default device, except the dataset rows, which stay on the CPU."""
        if self._pool is None:
            batch = self._load(step)
        else:
            current = self._next[1] if self._next and self._next[0] == step else self._submit(self._pool, step)
            self._next = step + 1, self._submit(self._pool, step + 1)
            batch = current.result()
        fields = batch._asdict().items()
        return type(batch)(*(tensor if name in ROWS else on_default_device(tensor) for name, tensor in fields))

    def _submit(self, pool: ThreadPoolExecutor, step: int) -> Future[Batch]:
        return pool.submit(self._load_pinned if _on_gpu() else self._load, step)

    def _load_pinned(self, step: int) -> Batch:
        batch = self._load(step)
        return type(batch)(*(tensor.pin_memory() for tensor in batch))


def on_default_device(tensor: Tensor) -> Tensor:
    """A CPU tensor on the default device. A GPU copies it from pinned memory, and the CPU does not wait."""
    return tensor.pin_memory().to(torch.get_default_device(), non_blocking=True) if _on_gpu() else tensor


def _on_gpu() -> bool:
    return torch.get_default_device().type == "cuda"


def _one_thread() -> ThreadPoolExecutor:
    """Pool of one thread that uses the GPU of this one. The current GPU belongs to a thread, and is 0 in a new one."""
    if not _on_gpu():
        return ThreadPoolExecutor(1, "batches")
    return ThreadPoolExecutor(1, "batches", torch.cuda.set_device, (torch.cuda.current_device(),))

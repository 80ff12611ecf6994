"""Data-parallel training: the workers of one run share every batch.

Every worker draws the same batch and keeps the same memory banks, but encodes its own rows only, and searches the graph
for them only; if the batch is not divisible, the first workers have one row more. `gckd.graph.division` divides what is
computed for all entries of large banks.

Losses compare rows of the whole batch, so embeddings are gathered first. A loss over a worker's rows is weighted such
that the mean over workers equals the loss of the whole batch; the same holds for gradients. Without a process group
every function returns its input unchanged.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from gckd.errors import InputError

_LONGEST_WAIT = datetime.timedelta(days=30)  # of a worker in `barrier`


def world_size() -> int:
    """Number of workers of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this worker, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


@contextlib.contextmanager
def process_group(*devices: str) -> Iterator[None]:
    """Process group that `torchrun` describes in the environment; none for a single worker.

    On GPUs, each worker uses one GPU, and NCCL transfers its tensors; gloo transfers tensors of the CPU. Workers on one
    machine communicate over loopback only.

    Args:
        devices: `config.device` of each run of the group.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    gpu = torch.cuda.is_available() and any(device != "cpu" for device in devices)
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if os.environ.get("MASTER_ADDR") in ("127.0.0.1", "localhost") and sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # the default is an address that other machines can reach
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def check_batch_size(field: str, batch: int) -> None:
    """Raise InputError if a batch has fewer rows than there are workers."""
    if batch < world_size():
        raise InputError(f"{field}: {batch} is outside its limit: at least the {world_size()} workers")


def local_rows(whole: Tensor) -> Tensor:
    """This worker's rows [b, ...] of a batch [B, ...]; b = B / world size, rounded up for the first workers."""
    return whole if world_size() == 1 else whole.tensor_split(world_size())[rank()]


def gather(local: Tensor, total: int) -> Tensor:
    """Whole batch [B, ...], B = `total`, from the rows [b, ...] of each worker, split as by `local_rows`.

    In the backward pass each worker gets the gradient of its rows, summed over workers.
    """
    whole: Tensor = local if world_size() == 1 else _Gather.apply(local, total)  # type: ignore[no-untyped-call]
    return whole


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor, total: int) -> Tensor:
        rows, remainder = divmod(total, world_size())
        return torch.cat(_all_gather(local, [rows + (worker < remainder) for worker in range(world_size())]))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return local_rows(gradient), None


def _all_gather(local: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """Rows of the first `len(sizes)` workers, cut to their sizes."""
    if missing := max(sizes) - len(local):  # collectives need equal shapes
        local = torch.cat((local, local.new_zeros(missing, *local.shape[1:])))
    local = local.contiguous()
    parts = [torch.empty_like(local) for _ in range(world_size())]
    dist.all_gather(parts, local)
    return [part[:size] for part, size in zip(parts, sizes, strict=False)]


@torch.no_grad()
def map_batches(
    function: Callable[[Tensor], Tensor],
    batches: Sequence[Tensor],
    keep: Callable[[Tensor], Tensor] = lambda result: result,
) -> Tensor:
    """Apply a function to batches, each of which is computed by one of the workers. Returns all rows [N, ...] in order.

    Batches are not split, so the result does not depend on the number of workers. All workers must call it with the
    same batches; all get the whole result, without a gradient.

    Args:
        keep: applied to the result of each batch once all workers have it, such as a copy to the CPU.
    """
    rows = sum(map(len, batches))
    whole: Tensor | None = None  # allocated once: a list of results and their concatenation would take twice the memory
    first_row = 0
    for result in map(keep, _results(function, batches)):
        whole = result.new_empty(rows, *result.shape[1:]) if whole is None else whole
        whole[first_row : first_row + len(result)] = result
        first_row += len(result)
    assert whole is not None, "no batches"
    return whole


def _results(function: Callable[[Tensor], Tensor], batches: Sequence[Tensor]) -> Iterator[Tensor]:
    """Result of each batch, in order."""
    for first in range(0, len(batches), world_size()):
        group = batches[first : first + world_size()]
        local = function(group[min(rank(), len(group) - 1)])  # workers without a batch repeat the last one
        yield from [local] if world_size() == 1 else _all_gather(local, [len(batch) for batch in group])


def weighted_local_mean(mean: Tensor, items: int) -> Tensor:
    """Mean over this worker's items, weighted such that its mean over workers is the mean over all items.

    All workers must call it. A worker without items passes a mean of zero.

    Args:
        mean: scalar.
        items: number of this worker's items.
    """
    if world_size() == 1:
        return mean
    total = torch.tensor(float(items))
    dist.all_reduce(total)
    return mean * (items * world_size() / total.clamp(min=1.0))


def average_over_workers(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Mean over workers of each named scalar, without a gradient."""
    if world_size() == 1:
        return values
    stacked = torch.stack([value.detach().float() for value in values.values()])
    dist.all_reduce(stacked)
    return dict(zip(values, stacked / world_size(), strict=True))


def broadcast_bool(value: bool) -> bool:
    """Value of the first worker."""
    if world_size() == 1:
        return value
    flag = torch.tensor(int(value))
    dist.broadcast(flag, src=0)
    return bool(flag)


def barrier() -> None:
    """Wait until all workers have reached this call.

    It may take long: the first worker may wait for another run that trains the same source model. NCCL would give up
    after 10 minutes, so the workers wait in a group of their own, in gloo.
    """
    if world_size() > 1:
        dist.barrier(_waiting_group(dist.group.WORLD))


@functools.lru_cache(maxsize=1)
def _waiting_group(workers: dist.ProcessGroup) -> dist.ProcessGroup:
    """Group of all workers for `barrier`. All workers must call it when they first wait."""
    group: dist.ProcessGroup = dist.new_group(backend="gloo", timeout=_LONGEST_WAIT)
    return group

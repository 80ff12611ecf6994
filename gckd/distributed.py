"""Several workers of one run: each has its rows of every batch; banks, negatives and losses are of the whole batch.

Every worker draws the same batch and keeps the same banks. It encodes its own rows alone, one more or fewer than
another's where the batch does not divide; what compares rows with each other gathers their embeddings. A loss over own
rows is a *share*, so that the mean over workers is the loss of the whole batch; so is the mean of their gradients.
Without a process group all of this is the identity.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gckd.errors import InputError


def world_size() -> int:
    """Workers of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this process is, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


@contextlib.contextmanager
def process_group(*devices: str) -> Iterator[None]:
    """The process group that `torchrun` describes in the environment, if it does and there are several workers.

    Where a run computes on a GPU, each worker takes one and NCCL carries its tensors; gloo carries those of the CPU.
    Workers of one machine talk over loopback alone.

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
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # by default gloo listens on the outer address
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def check_batch_size(field: str, batch: int) -> None:
    """Raises InputError where a batch leaves a worker without a row."""
    if batch < world_size():
        raise InputError(f"{field}: {batch} is outside its limit: at least the {world_size()} workers")


def local_rows(whole: Tensor) -> Tensor:
    """This worker's rows [b, ...] of a batch [B, ...]; b is B / count, rounded up for the first workers."""
    return whole if world_size() == 1 else whole.tensor_split(world_size())[rank()]


def gather(own: Tensor, total: int) -> Tensor:
    """The whole batch [B, ...], B = `total`, from every worker's own rows [b, ...], those that `mine` gives it.

    The gradient comes back to them, summed over workers.
    """
    found: Tensor = own if world_size() == 1 else _Gather.apply(own, total)  # type: ignore[no-untyped-call]
    return found


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, total: int) -> Tensor:
        least, more = divmod(total, world_size())
        return torch.cat(_exchanged(own, [least + (worker < more) for worker in range(world_size())]))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return local_rows(gradient), None


def _exchanged(own: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """The rows of the first workers, `sizes` of them; the others' do not count."""
    if lacking := max(sizes) - len(own):  # a collective takes equal shapes
        own = torch.cat((own, own.new_zeros(lacking, *own.shape[1:])))
    own = own.contiguous()
    parts = [torch.empty_like(own) for _ in range(world_size())]
    dist.all_gather(parts, own)
    return [part[:size] for part, size in zip(parts, sizes, strict=False)]


@torch.no_grad()
def map_batches(work: Callable[[Tensor], Tensor], batches: Sequence[Tensor]) -> Tensor:
    """What `work` makes of the rows of all batches, [N, ...] in their order; each batch is done by one of the workers.

    Batches stay whole, so that a result depends on how many workers there are in nothing but time. Every worker has to
    call it, with the same batches, and gets all of the result; without gradient.
    """
    if world_size() == 1:
        return torch.cat([work(batch) for batch in batches])
    found: list[Tensor] = []
    for first in range(0, len(batches), world_size()):
        turn = batches[first : first + world_size()]
        own = work(turn[min(rank(), len(turn) - 1)])  # where fewer are left than workers, some do the last one too
        found += _exchanged(own, [len(batch) for batch in turn])
    return torch.cat(found)


def weighted_local_mean(mean: Tensor, items: int) -> Tensor:
    """A mean over this worker's `items`, scaled so that the mean over workers is that over the items of all.

    Every worker has to call it, also one without items (its mean is then a zero of the caller's).
    """
    if world_size() == 1:
        return mean
    total = torch.tensor(float(items))
    dist.all_reduce(total)
    return mean * (items * world_size() / total.clamp(min=1.0))


def average_over_workers(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Named scalars, each the mean over workers; without gradient."""
    if world_size() == 1:
        return values
    stacked = torch.stack([value.detach().float() for value in values.values()])
    dist.all_reduce(stacked)
    return dict(zip(values, stacked / world_size(), strict=True))


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Every gradient becomes the mean over workers; a parameter that no worker has one for keeps none."""
    if world_size() == 1:
        return
    parameters = list(parameters)
    there = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32)
    dist.all_reduce(there)
    used = [p for p, workers in zip(parameters, there.tolist(), strict=True) if workers]
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in used])
    dist.all_reduce(flat)
    for p, part in zip(used, (flat / world_size()).split([p.numel() for p in used]), strict=True):
        p.grad = part.view_as(p)


def broadcast_bool(answer: bool) -> bool:
    """What the first worker answers."""
    if world_size() == 1:
        return answer
    word = torch.tensor(int(answer))
    dist.broadcast(word, src=0)
    return bool(word)


def barrier() -> None:
    """Returns once every worker is here."""
    if world_size() > 1:
        dist.barrier()

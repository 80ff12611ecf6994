"""Mean of the gradients over workers, exchanged while the backward pass runs."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from gckd.distributed import world_size

BUCKET_BYTES = 25 * 2**20  # of the gradients that are exchanged at once, as in DistributedDataParallel


class GradientAverage:
    """Average over workers of the gradients of some parameters.

    Ours instead of DistributedDataParallel, which needs one forward function for the whole step, and searches the graph
    of every step for parameters without a gradient.

    Args:
        parameters: the same on all workers. Those without `requires_grad` are left out.
        bucket_bytes: size of the gradients that are exchanged at once.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], bucket_bytes: int = BUCKET_BYTES) -> None:
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        self._buckets = list(_buckets(trained, bucket_bytes)) if world_size() > 1 else []
        # Held from here on, because torch makes a new node for a parameter whose node nobody holds.
        self._nodes = [[get_gradient_edge(parameter).node for parameter in bucket] for bucket in self._buckets]

    @contextlib.contextmanager
    def of_backward_pass(self) -> Iterator[None]:
        """Context of a backward pass, after which every gradient is its mean over workers.

        Gradients that were there before are part of the mean. A parameter without a gradient on all workers keeps none.
        Which gradients are exchanged together depends on the parameters alone, so that a resumed run rounds as before.
        """
        if not self._buckets:
            yield
            return
        exchange = _Exchange(self._buckets, self._nodes)
        hooks = [p.register_post_accumulate_grad_hook(exchange.receive) for bucket in self._buckets for p in bucket]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
        exchange.finish()


class _Exchange:
    """Exchange of the gradients of one backward pass. All workers send the buckets in the same order."""

    def __init__(
        self, buckets: Sequence[Sequence[nn.Parameter]], nodes: Sequence[Sequence[torch.autograd.graph.Node]]
    ) -> None:
        self._buckets, self._nodes = buckets, nodes
        self._bucket_of = {id(parameter): number for number, bucket in enumerate(buckets) for parameter in bucket}
        self._missing: list[int] = []  # gradients that each bucket waits for
        self._sent: list[tuple[Tensor, dist.Work]] = []

    def receive(self, parameter: Tensor) -> None:
        """Count a complete gradient, and send the buckets that are complete. Called in the backward pass."""
        if not self._missing:  # only the running backward pass tells which parameters it reaches
            self._missing = [sum(map(torch._C._will_engine_execute_node, nodes)) for nodes in self._nodes]
        self._missing[self._bucket_of[id(parameter)]] -= 1
        while len(self._sent) < len(self._buckets) and not self._missing[len(self._sent)]:
            self._send()

    def finish(self) -> None:
        """Send the other buckets, wait for all, and replace the gradients."""
        while len(self._sent) < len(self._buckets):
            self._send()
        parameters = [parameter for bucket in self._buckets for parameter in bucket]
        has_gradient = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.int32)
        dist.all_reduce(has_gradient)
        means: list[Tensor] = []
        for bucket, (flat, work) in zip(self._buckets, self._sent, strict=True):
            work.wait()
            parts = (flat / world_size()).split([parameter.numel() for parameter in bucket])
            means += [part.view_as(parameter) for parameter, part in zip(bucket, parts, strict=True)]
        for parameter, mean, workers in zip(parameters, means, has_gradient.tolist(), strict=True):
            parameter.grad = mean if workers else None

    @torch.no_grad()
    def _send(self) -> None:
        bucket = self._buckets[len(self._sent)]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in bucket])
        work = dist.all_reduce(flat, group=_group(dist.group.WORLD), async_op=True)
        assert work is not None  # None is for processes outside the group
        self._sent.append((flat, work))


def _buckets(parameters: Sequence[nn.Parameter], bucket_bytes: int) -> Iterator[list[nn.Parameter]]:
    """Parameters of one type in groups of up to `bucket_bytes`, the last first: a backward pass reaches them first."""
    bucket: list[nn.Parameter] = []
    size = 0
    for parameter in reversed(parameters):
        size += parameter.nbytes
        if bucket and (size > bucket_bytes or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], parameter.nbytes
        bucket.append(parameter)
    if bucket:
        yield bucket


@functools.lru_cache(maxsize=1)
def _group(workers: dist.ProcessGroup) -> dist.ProcessGroup:
    """Group of all workers for gradients alone.

    A backward pass also sums the gradients of gathered embeddings. In one group all workers would have to call both in
    the same order, but a worker without accepted pairs has another graph.
    """
    group: dist.ProcessGroup = dist.new_group()
    return group

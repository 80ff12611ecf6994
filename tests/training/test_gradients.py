"""Gradients averaged over two workers during the backward pass equal those averaged by hand after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from gckd.training.gradients import GradientAverage
from tests.training.several import WORKERS, run_workers, worker

NAMES = ("first", "of-second-worker", "unused", "frozen", "bfloat16", "last")
BYTES = 2 * 4 * 4  # of the gradients of two float32 parameters


def parameters() -> dict[str, nn.Parameter]:
    random = torch.Generator().manual_seed(0)
    made = {name: nn.Parameter(torch.randn(4, generator=random)) for name in NAMES}
    made["frozen"].requires_grad_(False)
    made["bfloat16"] = nn.Parameter(made["bfloat16"].detach().bfloat16())
    return made


def loss(weights: dict[str, nn.Parameter], rank: int, batch: int) -> Tensor:
    """Loss of one batch of a worker, in which `first` is used first."""
    x = weights["first"] * (rank + batch + 1)
    if rank == 1:
        x = x * weights["of-second-worker"]
    x = (x * weights["frozen"]).sin()
    return (x * weights["bfloat16"].float() * weights["last"]).sum()


class _Passed(torch.autograd.Function):
    """Identity that calls a function when the backward pass reaches it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, reached: Any) -> Tensor:
        ctx.reached = reached
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        ctx.reached()
        return gradients[0], None


def _averaged(rank: int, store: Path, folder: Path, bucket_bytes: int) -> None:
    with worker(rank, store):
        weights = parameters()
        average = GradientAverage(weights.values(), bucket_bytes)
        results = []
        for step in range(2):
            for weight in weights.values():
                weight.grad = None
            loss(weights, rank, 2 * step).backward()
            with average.of_backward_pass():
                loss(weights, rank, 2 * step + 1).backward()
            results.append({name: weight.grad for name, weight in weights.items()})
        torch.save(results, folder / f"{rank}.pt")


@pytest.mark.parametrize("bucket_bytes", [1, BYTES, 2**20])
def test_gradients_are_means_over_workers(bucket_bytes: int, tmp_path: Path) -> None:
    run_workers(_averaged, tmp_path / "store", tmp_path, bucket_bytes)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(WORKERS))
    for step in range(2):
        expected: dict[str, Tensor] = {}
        for rank in range(WORKERS):
            weights = parameters()
            (loss(weights, rank, 2 * step) + loss(weights, rank, 2 * step + 1)).backward()
            for name, weight in weights.items():
                if weight.grad is not None:
                    expected[name] = expected.get(name, torch.zeros(4)) + weight.grad.float() / WORKERS
        assert {name for name, gradient in first[step].items() if gradient is not None} == expected.keys()
        for name, mean in expected.items():
            assert torch.equal(first[step][name], second[step][name])
            close = 2e-2 if name == "bfloat16" else 1e-5
            torch.testing.assert_close(first[step][name].float(), mean, rtol=close, atol=close)


def _noted(rank: int, store: Path, folder: Path) -> None:
    with worker(rank, store):
        events: list[str] = []
        exchange = dist.all_reduce

        def noted(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            events.append(f"sent {len(tensor)}")
            return exchange(tensor, *args, **kwargs)

        first, unused, last = (nn.Parameter(torch.ones(size)) for size in (1, 2, 3))
        average = GradientAverage([first, unused, last], bucket_bytes=1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dist, "all_reduce", noted)
            with average.of_backward_pass():
                x = _Passed.apply(first * 2, lambda: events.append("first"))  # type: ignore[no-untyped-call]
                (x * last).sum().backward()
                events.append("end")
        torch.save(events, folder / f"{rank}.pt")


def test_gradients_are_sent_before_the_backward_pass_ends(tmp_path: Path) -> None:
    """The one that is complete first, then the parameter without a gradient, for which no one waits."""
    run_workers(_noted, tmp_path / "store", tmp_path)
    for rank in range(WORKERS):
        events = torch.load(tmp_path / f"{rank}.pt")
        assert events == ["sent 3", "sent 2", "first", "sent 1", "end", "sent 3"]  # at last, which have a gradient


def test_one_worker_keeps_its_gradients() -> None:
    weights = parameters()
    loss(weights, 1, 0).backward()
    expected = {name: None if weight.grad is None else weight.grad.clone() for name, weight in weights.items()}
    for weight in weights.values():
        weight.grad = None
    with GradientAverage(weights.values()).of_backward_pass():
        loss(weights, 1, 0).backward()
    for name, weight in weights.items():
        assert weight.grad is expected[name] is None or torch.equal(weight.grad, expected[name])

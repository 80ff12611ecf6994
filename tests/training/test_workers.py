"""Two workers that share every batch equal one worker with the whole batch: banks, negatives and losses."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from filelock import FileLock
from torch import Tensor

from gckd import distributed
from gckd.config import Config, apply
from gckd.config.graph import Clusters, Diffusion
from gckd.config.losses import Adversarial, CaptionsAndViews, Triplet
from gckd.config.stages import MomentumDistillation
from gckd.errors import InputError
from gckd.graph import division
from gckd.graph.division import MIN_PAIRS
from gckd.progress import Progress
from gckd.storage.shared_file import exclusive
from gckd.training.gradients import GradientAverage
from tests.training.micro import row, trained
from tests.training.several import WORKERS, run_workers, start, worker

CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "smoothing": ({}, ()),
    "convolution": ({"graph.propagate.conv": "sage"}, ()),
    "similarities": ({"graph.propagate": Diffusion(k=2)}, ()),
    "divided": ({"graph.propagate": Diffusion(k=2, confidence=0.5)}, ()),
    "clusters": ({"graph.propagate": Clusters(k=2)}, ()),
    "albef": ({"pretrain.objective": MomentumDistillation(queue=8)}, ()),
    "accumulated": ({"adapt.accumulate": 2, "pretrain.accumulate": 2}, ("gmp",)),
    "muon": ({"pretrain.optimizer": "muon", "adapt.optimizer": "muon"}, ()),
    "source-only": ({}, ("gmp", "cmkd")),
    "rounds": ({"adapt.rounds": 2}, ()),
    "self-supervised": ({"selfsup": CaptionsAndViews(neighbours=2)}, ()),
    "aligned": ({"align": Adversarial(hidden=4), "metric": Triplet()}, ("gmp", "cmkd")),
}
TOLERANCE = {"muon": 1e-2}  # it rounds to bfloat16, which magnifies more than Adam


def case(name: str, config: Config) -> Config:
    """Case without dropout, which each worker draws for itself; of a batch of 5, one worker gets 2 rows."""
    edits, dropped = CASES[name]
    shared = {"backbone.text.dropout": 0.0, "pretrain.batch": 5, "adapt.batch": 5}
    return row(apply(config, shared | edits), *dropped)


def _train(rank: int, store: Path, config: Config, folder: Path) -> None:
    with worker(rank, store):
        for name in CASES:
            division.MIN_PAIRS = 0 if name == "divided" else MIN_PAIRS
            reports: list[Progress] = []
            trained(case(name, config), folder / "cache", folder / name, reports.append)
            losses = [p.losses for p in reports if p.stage in ("pretrain", "adapt")]
            torch.save(losses, folder / name / f"losses-{rank}.pt")


def _curve(saved: Any) -> dict[tuple[str, str, int], float]:
    return {(p["stage"], p["name"], p["step"]): p["value"] for p in saved["curve"]}


@pytest.fixture(scope="module")
def shared(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the results of two workers, in a folder per case."""
    folder = tmp_path_factory.mktemp("two")
    run_workers(_train, folder / "store", config, folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_workers_equal_one(config: Config, shared: Path, tmp_path: Path, name: str) -> None:
    one = trained(case(name, config), tmp_path / "cache", tmp_path / "out")
    two = torch.load(shared / name / "checkpoint.pt", weights_only=True)
    close = TOLERANCE.get(name, 1e-3)  # Adam magnifies rounding
    assert _curve(two) == pytest.approx(_curve(one), rel=close, abs=close)
    for entry, values in one["modules"]["banks"].items():
        torch.testing.assert_close(two["modules"]["banks"][entry], values, rtol=close, atol=close)
    # All workers know the losses of the whole batch.
    first, second = (torch.load(shared / name / f"losses-{rank}.pt") for rank in range(WORKERS))
    assert first == second != []


def _gathered(rank: int, store: Path, whole: Tensor, folder: Path) -> None:
    with worker(rank, store):
        own = distributed.local_rows(whole).clone().requires_grad_()
        weight = torch.nn.Parameter(torch.tensor(2.0))
        # sum_ij <x_i, x_j>^2: every row meets every row.
        z = distributed.gather(own * weight, len(whole))
        with GradientAverage([weight]).of_backward_pass():
            ((z @ z.T) ** 2).mean().backward()
        items = own.detach()[: rank + 1, 0]  # one of the first worker's, two of the second's if it has as many
        mean = distributed.average_over_workers({"mean": distributed.weighted_local_mean(items.mean(), len(items))})[
            "mean"
        ]
        torch.save((weight.grad, mean, own.grad), folder / f"{rank}.pt")


@pytest.mark.parametrize(("size", "second"), [(4, 2), (5, 3), (2, 1), (3, 2)])
def test_gradients_and_means_are_those_of_the_whole_batch(tmp_path: Path, size: int, second: int) -> None:
    """`second` is the first row of the second worker."""
    whole = torch.randn(size, 3, generator=torch.Generator().manual_seed(0))
    run_workers(_gathered, tmp_path / "store", whole, tmp_path)
    x, weight = whole.clone().requires_grad_(), torch.nn.Parameter(torch.tensor(2.0))
    z = x * weight
    ((z @ z.T) ** 2).mean().backward()
    reports = [torch.load(tmp_path / f"{rank}.pt") for rank in range(WORKERS)]
    for gradient, mean, _ in reports:
        torch.testing.assert_close(gradient, weight.grad)
        torch.testing.assert_close(mean, torch.cat((whole[:1, 0], whole[second : second + 2, 0])).mean())
    # Their mean over workers is what a weight before the rows gets.
    torch.testing.assert_close(torch.cat([rows for _, _, rows in reports]) / WORKERS, x.grad)


def _refused(rank: int, store: Path, folder: Path) -> None:
    with worker(rank, store):
        try:
            distributed.check_batch_size("adapt.batch", 1)
        except InputError as error:
            (folder / f"{rank}.txt").write_text(str(error))


def test_a_batch_with_fewer_rows_than_workers_is_refused(tmp_path: Path) -> None:
    run_workers(_refused, tmp_path / "store", tmp_path)
    for rank in range(WORKERS):
        message = (tmp_path / f"{rank}.txt").read_text()
        assert message == "adapt.batch: 1 is outside its limit: at least the 2 workers"


def _wait_for_the_lock(rank: int, store: Path, file: Path) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=WORKERS, timeout=timedelta(seconds=1)
    )
    file.with_name(f"started-{rank}").touch()
    with exclusive(file):
        file.with_name(f"entered-{rank}").touch()
    dist.destroy_process_group()


def test_workers_wait_for_a_file_lock_longer_than_a_collective_may_take(tmp_path: Path) -> None:
    """Another run may hold the lock through a whole pre-training; NCCL's limit is 10 minutes, here it is a second."""
    with FileLock(tmp_path / "file.lock"):
        workers = start(_wait_for_the_lock, tmp_path / "store", tmp_path / "file")
        while len([*tmp_path.glob("started-*")]) < WORKERS:
            assert not workers.join(timeout=0.1), "a worker ended early"
        time.sleep(3)
        assert not [*tmp_path.glob("entered-*")]
    while not workers.join():
        pass
    assert len([*tmp_path.glob("entered-*")]) == WORKERS


@pytest.mark.parametrize(
    ("devices", "backend", "own_gpu"),
    [
        (["cpu"], "gloo", []),
        (["cpu", "cpu"], "gloo", []),
        (["auto"], "cpu:gloo,cuda:nccl", [1]),
        (["cuda"], "cpu:gloo,cuda:nccl", [1]),
        (["cpu", "auto"], "cpu:gloo,cuda:nccl", [1]),
    ],
)
def test_runs_on_the_cpu_use_gloo_on_a_machine_with_gpus(
    monkeypatch: pytest.MonkeyPatch, devices: list[str], backend: str, own_gpu: list[int]
) -> None:
    """`own_gpu`: the GPU that the second worker takes, if it takes one."""
    backends: list[str] = []
    taken: list[int] = []
    for name, value in {"WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(torch.distributed, "init_process_group", backends.append)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    with distributed.process_group(*devices):
        pass
    assert (backends, taken) == ([backend], own_gpu)


def test_without_gpus_workers_use_gloo(monkeypatch: pytest.MonkeyPatch) -> None:
    backends: list[str] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.distributed, "init_process_group", backends.append)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    with distributed.process_group("auto"):
        pass
    assert backends == ["gloo"]

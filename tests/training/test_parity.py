"""Two workers that share every batch train the same model as one worker with the whole batch, for 20 steps.

In float64: what then differs by more than rounding is another algorithm; 1e-12 is what is left of it. In float32
(`benchmarks/workers.py`) the biases of attention keys differ most. Their gradient is zero but for rounding, which AdamW
divides by its own size, so that they move at the full learning rate to either side.

The shares of one case are equal, those of the other are not: of 5 pairs one worker has 3. How many captions' words are
masked and how many pairs delta accepts differs between workers in both. An epoch ends before a batch that would not
fill, as in ALBEF's training (`drop_last`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from gckd.config import Config, apply
from gckd.config.graph import Diffusion
from gckd.data.dataset_pair import open_datasets
from gckd.progress import Progress
from gckd.storage.checkpoint import load_checkpoint
from tests.training.micro import Interruption, stop_at, trained
from tests.training.several import run_workers, worker

STEPS, HALF = 20, 10
CLOSE = 1e-9
EDITS: dict[str, Any] = {
    "backbone.text.dropout": 0.0,  # two workers draw masks of their own
    "adapt.steps": STEPS,
    "graph.memory.capacity": 10,
    "distill.matching.delta": 0.5,
}
GRAPHS: dict[str, dict[str, Any]] = {
    "embeddings": {"graph.propagate.conv": "sage"},
    "similarities": {"graph.propagate": Diffusion(k=2)},
}
BATCHES = {"embeddings": 5, "similarities": 8}  # of 12 images a domain: an epoch leaves some of them out
Run = tuple[dict[str, Any], list[Progress]]  # its last checkpoint, and what it reports


def case(config: Config, graph: str) -> Config:
    batches = {"pretrain.batch": BATCHES[graph], "adapt.batch": BATCHES[graph]}
    return apply(config, EDITS | batches | GRAPHS[graph])


@contextmanager
def in_double() -> Iterator[None]:
    """Compute in float64, also where the code asks for float32."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


def finish(config: Config, cache: Path, out: Path) -> Run:
    reports: list[Progress] = []
    return trained(config, cache, out, reports.append), reports


def losses(reports: list[Progress]) -> list[dict[str, float]]:
    """Losses of every adaptation step."""
    return [p.losses for p in reports if p.stage == "adapt"]


def without_hubs(saved: dict[str, Any]) -> list[dict[str, Any]]:
    """Curves without hubness: some toy captions are identical, and rounding decides which of them gets an edge."""
    return [point for point in saved["curve"] if not point["name"].startswith("hubness")]


def pretraining(cache: Path) -> dict[str, Any]:
    (file,) = cache.glob("pretrain/*/checkpoint.pt")
    result: dict[str, Any] = load_checkpoint(file)
    return result


def interrupt(config: Config, cache: Path, out: Path) -> None:
    """Interrupt the run in the step after its middle checkpoint."""
    with pytest.raises(Interruption):
        trained(config, cache, out, stop_at("adapt", HALF + 1))
    assert load_checkpoint(out / "checkpoint.pt")["step"] == HALF


def _two(rank: int, config: Config, folder: Path) -> None:
    with worker(rank, folder / "store"), in_double():
        for graph in GRAPHS:
            here, cache = folder / graph, folder / graph / "cache"
            _, reports = finish(case(config, graph), cache, here / "two")
            torch.save(losses(reports), here / f"losses-{rank}.pt")
            finish(case(config, graph), cache, here / "one then two")
            interrupt(case(config, graph), cache, here / "two then one")


@pytest.fixture(scope="module")
def folder(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the results of two workers for every case; some were started by one worker."""
    folder = tmp_path_factory.mktemp("parity")
    with in_double():
        for graph in GRAPHS:
            interrupt(case(config, graph), folder / graph / "cache-of-one", folder / graph / "one then two")
    run_workers(_two, config, folder)
    return folder


def assert_close(one: Any, two: Any) -> None:
    """All floats of two nested structures within 1e-9, everything else equal."""
    if isinstance(one, torch.Tensor):
        torch.testing.assert_close(one, two, rtol=0.0, atol=CLOSE)
    elif isinstance(one, dict):
        assert one.keys() == two.keys()
        for name in one:
            assert_close(one[name], two[name])
    elif isinstance(one, list | tuple):
        for a, b in zip(one, two, strict=True):
            assert_close(a, b)
    elif isinstance(one, float):
        assert one == pytest.approx(two, rel=0.0, abs=CLOSE)
    else:
        assert one == two


@pytest.mark.slow
@pytest.mark.parametrize("graph", GRAPHS)
def test_two_workers_equal_one_for_20_steps(config: Config, folder: Path, graph: str, tmp_path: Path) -> None:
    config, here = case(config, graph), folder / graph
    with in_double():
        one, reports = finish(config, here / "cache-of-one", tmp_path / "one")
        ended, _ = finish(config, here / "cache", here / "two then one")
    assert one["modules"]["student"]["text_proj.weight"].dtype == torch.float64
    assert {"student", "teacher", "banks", "propagate"} <= set(one["modules"])
    accepted = [point["value"] for point in one["curve"] if point["name"] == "accepted_share"]
    assert any(0.0 < share < 1.0 for share in accepted)
    for name in ("two", "one then two"):
        two = load_checkpoint(here / name / "checkpoint.pt")
        assert_close(one["modules"], two["modules"])
        assert_close(one["optimizer"], two["optimizer"])
        assert_close(without_hubs(one), without_hubs(two))
    assert_close(one["modules"], ended["modules"])
    assert_close(pretraining(here / "cache-of-one")["modules"], pretraining(here / "cache")["modules"])
    by_two = [torch.load(here / f"losses-{rank}.pt") for rank in range(2)]
    assert by_two[0] == by_two[1]
    assert_close(losses(reports), by_two[0])


@pytest.mark.parametrize("graph", GRAPHS)
def test_all_batches_are_full(config: Config, cache: Path, graph: str) -> None:
    """Over three epochs of 12 images, the examples that do not fill a batch are carried to the next epoch."""
    config, size = case(config, graph), BATCHES[graph]
    feed = open_datasets(config, cache).feed(config, size)
    assert feed.source.image_count % size and feed.target.image_count % size
    for step in range(3 * (12 // size)):
        for batch in (feed.source.batch(step), feed.target.batch(step)):
            assert {len(field) for field in batch} == {size}

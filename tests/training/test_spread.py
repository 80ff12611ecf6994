"""Embedding by several workers: each computes a share, and all get the results of a single worker."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor

from gckd.config.stages import Evaluate
from gckd.data.types import EvaluationSet
from gckd.distributed import map_batches
from gckd.evaluation.retrieval import Ranking, Retriever
from gckd.method import warm_start as warm
from gckd.models.base import Encoded
from gckd.storage.cache import CachePath
from gckd.storage.checkpoint import save_atomically
from tests.evaluation.test_retrieval import NO_CENTRING, TableModel
from tests.training.several import WORKERS, run_workers, start, worker

SIZES: dict[str, list[int]] = {
    "even": [3, 3],
    "a short last batch": [4, 4, 1],
    "an even number and a short one": [2, 2, 2, 1],
    "one batch": [5],
    "one row": [1],
}


def squares(rows: Tensor) -> Tensor:
    return torch.stack((rows, rows**2), 1).double()


class Noted:
    """Function of rows [b] that records its arguments."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function, self.asked = function, list[list[int]]()

    def __call__(self, rows: Tensor) -> Tensor:
        self.asked.append(rows.tolist())
        return self.function(rows)


def _shares(rank: int, store: Path, folder: Path) -> None:
    with worker(rank, store):
        reports = {}
        for name, sizes in SIZES.items():
            work = Noted(squares)
            reports[name] = map_batches(work, torch.arange(sum(sizes)).split(sizes)), work.asked
    torch.save(reports, folder / f"{rank}.pt")


def test_each_batch_is_computed_by_one_worker(tmp_path: Path) -> None:
    run_workers(_shares, tmp_path / "store", tmp_path)
    reports = [torch.load(tmp_path / f"{rank}.pt") for rank in range(WORKERS)]
    for name, sizes in SIZES.items():
        batches = [part.tolist() for part in torch.arange(sum(sizes)).split(sizes)]
        for result, requested in (each[name] for each in reports):
            assert torch.equal(result, squares(torch.arange(sum(sizes))))
            assert len(requested) == -(-len(batches) // WORKERS)
        # Where they do not divide, the worker that has none left does the last one again.
        requested = [rows for _, requested in (each[name] for each in reports) for rows in requested]
        assert sorted(requested) == sorted(batches + batches[-1:] * (len(batches) % WORKERS))


class CountingModel(TableModel):
    """Model that counts its images."""

    shown = 0

    def encode_image(self, images: Tensor) -> Encoded:
        self.shown += len(images)
        return super().encode_image(images)


def scene(images: int = 25, texts: int = 7) -> tuple[CountingModel, EvaluationSet]:
    """Two identities; numbers that two workers in batches of 4 cannot halve."""
    random = torch.Generator().manual_seed(0)
    tables = (torch.nn.functional.normalize(torch.randn(n, 5, generator=random), dim=1) for n in (images, texts))
    model = CountingModel(*tables, torch.randn(texts, images, generator=random))
    pixels = torch.arange(images, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2)
    labels = torch.arange(images) % 2, torch.arange(texts) % 2
    return model, EvaluationSet(pixels, torch.arange(texts)[:, None], *labels)


def rankings() -> tuple[list[Ranking], int]:
    """With and without re-ranking, and how many images were embedded for it."""
    model, data = scene()
    results = [Retriever(model, Evaluate(batch=4, k_test=k), NO_CENTRING).ranking(data) for k in (0, 3)]
    return results, model.shown


def _rankings(rank: int, store: Path, folder: Path) -> None:
    with worker(rank, store):
        ranked, shown = rankings()
    torch.save(([dataclasses.asdict(each) for each in ranked], shown), folder / f"{rank}.pt")


def test_two_workers_rank_like_one(tmp_path: Path) -> None:
    run_workers(_rankings, tmp_path / "store", tmp_path)
    one, shown = rankings()
    assert shown == 3 * 25  # to compare; to compare again, and their states
    for rank in range(WORKERS):
        two, seen = torch.load(tmp_path / f"{rank}.pt")
        for expected, ranking in zip(one, two, strict=True):
            assert all(torch.equal(getattr(expected, name), value) for name, value in ranking.items())
        assert seen == 3 * (13 if rank == 0 else 12 + 1)


def _read_warm_start(rank: int, store: Path, path: Path, folder: Path) -> None:
    with worker(rank, store):
        (folder / f"{rank}.up").touch()
        held = warm._load_or_compute(CachePath.at(path), torch.arange(3), squares)
    torch.save(held, folder / f"{rank}.pt")


def test_workers_read_a_warm_start_that_another_run_was_writing(tmp_path: Path) -> None:
    """The first worker waits for the lock of the other run; the second must not read before."""
    path, held = tmp_path / "warm.pt", {"embeddings": torch.ones(3, 2), "seconds": 1.0}
    with FileLock(f"{path}.lock"):
        started = start(_read_warm_start, tmp_path / "store", path, tmp_path)
        while len(list(tmp_path.glob("*.up"))) < WORKERS:
            time.sleep(0.05)
        time.sleep(0.5)  # a worker that does not wait has looked by now
        save_atomically(path, held)
    while not started.join():
        pass
    for rank in range(WORKERS):
        loaded = torch.load(tmp_path / f"{rank}.pt")
        assert torch.equal(loaded["embeddings"], held["embeddings"])

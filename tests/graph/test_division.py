"""Two workers that divide the entries of a bank compute what one worker computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.graph import division, knn
from gckd.graph.division import divides
from gckd.graph.knn import CentredBank, Neighbours, NeighbourSearch
from gckd.graph.neighbour_lists import NeighbourLists
from gckd.graph.similarity import BankPair
from tests.tensors import units
from tests.training.several import WORKERS, run_workers, worker

K, T = 3, 0.1
BANKS = units(101, 8, seed=1).float(), units(60, 8, seed=2).float()  # the first worker has one entry of 101 more


def centred_bank() -> CentredBank:
    entries = BANKS[0]
    return CentredBank(entries, entries.mean(0), F.normalize(entries - entries.mean(0)))


def _divide(rank: int, store: Path, folder: Path) -> None:
    searched: list[int] = []

    def nearest(nodes: Tensor, queries: Tensor, *args: Any, **options: Any) -> Neighbours:
        searched.append(len(queries))
        return knn_nearest(nodes, queries, *args, **options)

    knn_nearest, knn.nearest = knn.nearest, nearest
    division.MIN_PAIRS = 0
    with worker(rank, store):
        full = NeighbourSearch().of_bank("bank", centred_bank(), K)
        updated = NeighbourLists().update(centred_bank(), K)
        pair = BankPair(*BANKS, shared=True)
        softmax = pair.log_partition(T), pair.reversed().log_partition(T), pair.entropies(T)
        own = BankPair(*(bank[: 50 + rank] for bank in BANKS)).entropies(T)  # another pair on each worker
        torch.save((tuple(full), tuple(updated), softmax, own, searched), folder / f"{rank}.pt")


def test_results_of_two_workers_are_those_of_one(tmp_path: Path) -> None:
    run_workers(_divide, tmp_path / "store", tmp_path)
    unit, scores = centred_bank().unit, BANKS[0] @ BANKS[1].T / T
    cosine = (unit @ unit.T).fill_diagonal_(-2)
    probabilities = scores.softmax(1)
    for rank in range(WORKERS):
        full, updated, softmax, own, searched = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for indices, cosines in (full, updated):
            assert torch.equal(indices, cosine.argsort(1, descending=True)[:, :K])
            torch.testing.assert_close(cosines, cosine.gather(1, indices))
        assert searched == [51 - rank]
        torch.testing.assert_close(softmax[0], scores.logsumexp(0))
        torch.testing.assert_close(softmax[1], scores.logsumexp(1))
        torch.testing.assert_close(softmax[2], -(probabilities * probabilities.log()).sum(1))
        part = scores[: 50 + rank, : 50 + rank].softmax(1)
        torch.testing.assert_close(own, -(part * part.log()).sum(1))


def test_small_banks_and_single_workers_divide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not divides(division.MIN_PAIRS)
    monkeypatch.setattr(division, "world_size", lambda: 2)
    assert divides(division.MIN_PAIRS) and not divides(division.MIN_PAIRS - 1)

"""Neighbours that are updated from step to step equal those of a full search, and do not depend on earlier updates."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.neighbour_search import TorchSearch
from gckd.graph.centred_cosine import CentredCosine, raised_limits
from gckd.graph.knn import CentredBank, Neighbours, NeighbourSearch, nearest
from gckd.graph.memory import MemoryBank, centred
from gckd.graph.neighbour_lists import NeighbourLists
from gckd.graph.neighbour_search import UpdatedNeighbourSearch
from gckd.method.banks import Banks

N, D, B, K = 152, 8, 8, 5


def centred_bank(entries: Tensor, centre: bool = True) -> CentredBank:
    mean = entries.mean(0) * float(centre)
    return CentredBank(entries, mean, centred(entries, mean))


def update(lists: NeighbourLists, entries: Tensor, centre: bool = True, k: int = K) -> Neighbours:
    return lists.update(centred_bank(entries, centre), k)


def full_search(entries: Tensor, centre: bool = True, k: int = K) -> Neighbours:
    """All cosines in float64, sorted; equal ones by index."""
    x = entries.double()
    unit = F.normalize(x - entries.mean(0).double() * float(centre), dim=1)
    cosine = (unit @ unit.T).fill_diagonal_(-torch.inf)
    order = cosine.round(decimals=10).sort(dim=1, descending=True, stable=True).indices[:, :k]
    return Neighbours(order, cosine.gather(1, order).float())


def assert_equals_full_search(result: Neighbours, entries: Tensor, centre: bool = True, k: int = K) -> None:
    expected = full_search(entries, centre, k)
    assert torch.equal(result.indices, expected.indices)
    torch.testing.assert_close(result.cosine, expected.cosine, atol=1e-6, rtol=0)


def assert_identical(first: Neighbours, second: Neighbours) -> None:
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


class Training:
    """Bank of a training: each step embeds some examples again, and the embeddings drift in one direction.

    Args:
        capacity: C, at most as many as there are examples.
    """

    def __init__(self, capacity: int, drift: float) -> None:
        self.random = torch.Generator().manual_seed(0)
        self.bank, self.drift, self.steps = MemoryBank(capacity, D), drift, 0
        people = self.normal(N // 4, D).repeat_interleave(4, 0)
        self.examples = people + 0.5 * self.normal(N, D) + self.normal(D)
        self.direction = F.normalize(self.normal(D), dim=0)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.random)

    def embed(self, rows: Tensor) -> Tensor:
        noise = 0.02 * self.normal(len(rows), D)
        return F.normalize(self.examples[rows] + self.steps * self.drift * self.direction + noise, dim=1)

    def warm_start(self) -> Tensor:
        rows = torch.randperm(N, generator=self.random)[: len(self.bank.rows)]
        self.bank.push(self.embed(rows), rows)
        return self.bank.filled()

    def step(self) -> Tensor:
        """Entries of the bank after the next step."""
        self.steps += 1
        rows = torch.randperm(N, generator=self.random)[:B]
        self.bank.push(self.embed(rows), rows)
        return self.bank.filled()


@pytest.mark.parametrize(
    ("steps", "capacity", "drift", "centre"),
    [(300, N, 0.001, True), (60, N, 0.05, True), (60, 100, 0.01, True), (60, 100, 0.01, False)],
)
def test_updates_equal_a_full_search_over_hundreds_of_steps(
    steps: int, capacity: int, drift: float, centre: bool
) -> None:
    training, lists = Training(capacity, drift), NeighbourLists()
    training.warm_start()
    searched = []
    for _ in range(steps):
        entries = training.step()
        assert_equals_full_search(update(lists, entries, centre), entries, centre)
        searched.append(lists.searched)
    assert searched[0] == capacity
    assert min(searched) == B
    assert sum(searched) < steps * capacity / 2  # fewer lists than a full search


def test_lists_under_a_mean_that_is_held_equal_a_full_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if a step replaces nothing. Lists that are begun in between, as after a resume, give the same."""
    training, lists, mean, scored = Training(100, 0.02), NeighbourLists(), torch.zeros(D), []
    rank = lists._ranked

    def recorded(rows: Tensor, *rest: Tensor) -> Neighbours:
        scored.append(len(rows))
        return rank(rows, *rest)

    monkeypatch.setattr(lists, "_ranked", recorded)
    entries = training.warm_start()
    for number in range(60):
        if number % 9 != 8:
            entries = training.step()
        if number % 10 == 0:
            mean = entries.mean(0)
        scored.clear()
        bank = CentredBank(entries, mean, centred(entries, mean))
        result = lists.update(bank, K)
        unit = F.normalize(entries.double() - mean, dim=1)
        cosine = (unit @ unit.T).fill_diagonal_(-torch.inf)
        expected = cosine.topk(K, dim=1)
        assert torch.equal(result.indices, expected.indices)
        torch.testing.assert_close(result.cosine, expected.values.float(), atol=1e-6, rtol=0)
        assert_identical(result, NeighbourLists().update(bank, K))
        assert (max(scored) == 100) == (number % 10 == 0)


def test_a_bank_without_warm_start_equals_a_full_search_while_it_fills() -> None:
    training, lists = Training(N, 0.01), NeighbourLists()
    for _ in range(30):
        entries = training.step()
        if len(entries) > K:
            # `nearest` answers while the bank is small, in float32.
            torch.testing.assert_close(update(lists, entries).cosine, full_search(entries).cosine, atol=1e-6, rtol=0)
    assert_equals_full_search(update(lists, entries), entries)


def test_a_resumed_training_has_identical_neighbours() -> None:
    training, uninterrupted, resumed = Training(N, 0.02), NeighbourLists(), NeighbourLists()
    training.warm_start()
    for number in range(60):
        entries = training.step()
        if number % 20 == 0:
            resumed = NeighbourLists()
        assert_identical(update(uninterrupted, entries), update(resumed, entries))


def test_entries_of_equal_cosine_are_ordered_by_index() -> None:
    training, lists = Training(N, 0.01), NeighbourLists()
    training.warm_start()
    update(lists, training.step())
    entries = training.bank.filled().clone()
    copies = torch.arange(3, 3 + 2 * B, 2)
    entries[copies] = entries[1].clone()  # more copies than neighbours
    result = update(lists, entries)
    assert_equals_full_search(result, entries)
    assert result.indices[1].tolist() == copies[:K].tolist()
    assert_identical(result, update(NeighbourLists(), entries))


def test_more_ties_than_candidates_are_all_compared() -> None:
    training, lists = Training(N, 0.01), NeighbourLists()
    entries = training.warm_start().clone()
    entries[::2] = entries[0].clone()
    for _ in range(3):
        entries[1] = F.normalize(training.normal(D), dim=0)
        result = update(lists, entries)
        assert_equals_full_search(result, entries)
        assert result.indices[100].tolist() == [0, 2, 4, 6, 8]


def test_another_k_is_searched_anew() -> None:
    training, lists = Training(N, 0.01), NeighbourLists()
    training.warm_start()
    for k in (5, 7, 5):
        entries = training.step()
        assert_equals_full_search(update(lists, entries, k=k), entries, k=k)
        assert lists.searched == N


def test_unchanged_entries_are_not_searched() -> None:
    training, lists = Training(N, 0.01), NeighbourLists()
    training.warm_start()
    entries = training.step()
    first, second = update(lists, entries), update(lists, entries)
    assert lists.searched == 0
    assert_identical(first, second)


@pytest.mark.parametrize("spread", [0.0, 1e-5])
def test_entries_at_their_mean_are_searched_in_full(spread: float) -> None:
    """Without a distance from the mean, a cosine cannot be computed from the dot product."""
    random = torch.Generator().manual_seed(0)
    lists = NeighbourLists()
    entries = F.normalize(torch.ones(N, D) + spread * torch.randn(N, D, generator=random), dim=1)
    bank = centred_bank(entries)
    for _ in range(2):
        assert_identical(lists.update(bank, K), nearest(bank.unit, torch.arange(N), K))
    entries = Training(N, 0.0).warm_start()
    assert_equals_full_search(update(lists, entries), entries)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_neighbours_do_not_depend_on_the_precision_of_matrix_products(precision: str) -> None:
    training, exact, rounded = Training(N, 0.02), NeighbourLists(), NeighbourLists()
    training.warm_start()
    before = torch.get_float32_matmul_precision()
    for _ in range(20):
        entries = training.step()
        expected = update(exact, entries)
        torch.set_float32_matmul_precision(precision)
        try:
            result = update(rounded, entries)
        finally:
            torch.set_float32_matmul_precision(before)
        assert_identical(result, expected)


def test_limits_hold_under_a_new_mean() -> None:
    random = torch.Generator().manual_seed(0)
    entries = F.normalize(torch.randn(100, D, generator=random) + 1, dim=1)
    mean = entries.mean(0)
    for size in (0.01, 0.1, 1.0):
        moved = mean + size * torch.randn(D, generator=random) / D**0.5
        old, new = CentredCosine.of(entries, mean), CentredCosine.of(entries, moved)
        cosines = [F.normalize(entries.double() - mu.double(), dim=1) for mu in (mean, moved)]
        before, after = (x @ x.T for x in cosines)
        for limit in (-0.5, 0.0, 0.5):
            limits = torch.full((100,), limit, dtype=torch.float64)
            raised = raised_limits(limits, old, new, torch.ones(100, dtype=torch.bool))
            assert (after <= raised[:, None])[before <= limit].all()


def test_limits_are_tight_enough_to_fail_if_a_term_is_too_small() -> None:
    """Four entries at different distances from their mean: each term of the bound decides in some of the cases."""
    random = torch.Generator().manual_seed(0)
    for case in range(400):
        width = 2 + case % 3
        entries = 2 * torch.rand(4, 1, generator=random) * torch.randn(4, width, generator=random)
        mean = 0.3 * torch.randn(width, generator=random)
        moved = mean + 0.3 * torch.randn(width, generator=random)
        old, new = CentredCosine.of(entries, mean), CentredCosine.of(entries, moved)
        cosines = [F.normalize(entries.double() - mu.double(), dim=1) for mu in (mean, moved)]
        before, after = ((x @ x.T).fill_diagonal_(-1) for x in cosines)
        raised = raised_limits(before.amax(1), old, new, torch.ones(4, dtype=torch.bool))
        assert (after <= raised[:, None]).all()


def test_only_banks_above_the_limit_are_updated() -> None:
    search = UpdatedNeighbourSearch(TorchSearch(update_above=N))
    training = Training(N, 0.01)
    bank = centred_bank(training.warm_start())
    assert_identical(search.of_bank("bank", bank, K), NeighbourSearch().of_bank("bank", bank, K))
    assert not search._lists
    search.update_above = N - 1
    assert_equals_full_search(search.of_bank("bank", bank, K), bank.entries)
    assert search._lists["bank"].searched == N


def test_loaded_banks_have_the_neighbours_of_the_saved_ones() -> None:
    split: Any = SimpleNamespace(image_count=N, caption_count=N)
    training, banks, restored = Training(N, 0.02), Banks((N, N), D, split, split), Banks((N, N), D, split, split)
    search, resumed_search = (UpdatedNeighbourSearch(TorchSearch(update_above=0)) for _ in range(2))
    training.warm_start()
    for _ in range(20):
        entries = training.step()
        for bank in (banks.target_image, banks.target_text):
            bank.push(entries, torch.arange(N))
        uninterrupted = banks.target_pair(banks.space(centre=True), search)
        neighbours = [index.neighbours(K) for index in (uninterrupted.query_bank, uninterrupted.key_bank)]
    restored.load_state_dict(banks.state_dict())
    resumed = restored.target_pair(restored.space(centre=True), resumed_search)
    for index, expected in zip((resumed.query_bank, resumed.key_bank), neighbours, strict=True):
        assert_equals_full_search(expected, entries)
        assert_identical(index.neighbours(K), expected)
        assert torch.equal(index.neighbours_of(torch.tensor([7, 3]), K).indices, expected.indices[[7, 3]])

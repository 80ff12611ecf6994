"""Bank warm starts are computed once for all runs, whatever their C."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from gckd.config import Config, apply
from gckd.method import warm_start as warm
from gckd.method.warm_start import WarmStart
from gckd.training.adapt import prepare_adaptation

ROWS, WIDTH = 23, 3


class Encoder:
    """Embeds a row by its number and remembers which rows it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, rows: Tensor) -> Tensor:
        self.asked += rows.tolist()
        return rows[:, None].float().expand(-1, WIDTH)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "BATCH", 4)


def taken(start: WarmStart, wanted: int, embed: Encoder) -> list[tuple[int, float]]:
    batches = start.first("image", 0, ROWS, wanted, embed)
    return [(int(row), float(z[0])) for rows, embeddings in batches for row, z in zip(rows, embeddings, strict=True)]


def test_every_row_once_in_a_seeded_order(tmp_path: Path) -> None:
    found = taken(WarmStart(tmp_path), ROWS, Encoder())
    assert sorted(row for row, _ in found) == list(range(ROWS))
    assert all(row == z for row, z in found)
    assert found != taken_with_seed(1)


def taken_with_seed(seed: int) -> list[tuple[int, float]]:
    batches = WarmStart().first("image", seed, ROWS, ROWS, Encoder())
    return [(int(row), float(z[0])) for rows, embeddings in batches for row, z in zip(rows, embeddings, strict=True)]


def test_a_larger_bank_takes_more_of_the_same_order(tmp_path: Path) -> None:
    """Whole batches are computed: 6 wanted cost 8, 10 more cost 4, fewer cost nothing."""
    first, more, less = Encoder(), Encoder(), Encoder()
    small = taken(WarmStart(tmp_path), 6, first)
    large = taken(WarmStart(tmp_path), 10, more)
    assert large[:6] == small
    assert (len(first.asked), len(more.asked)) == (8, 4)
    assert taken(WarmStart(tmp_path), 3, less) == small[:3]
    assert less.asked == []


def test_without_a_folder_nothing_is_kept() -> None:
    once, again = Encoder(), Encoder()
    start = WarmStart()
    assert taken(start, 6, once) == taken(start, 6, again)
    assert once.asked == again.asked


def test_rows_and_trials_share_it(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither C, K, delta nor m makes the embeddings anew; what they are worth is told all the same."""
    one = prepare_adaptation(config, tmp_path, lambda progress: None)
    one.step.warm_start(one.warm_start)
    monkeypatch.setattr("gckd.method.banks.embed_clean", lambda *args, **kwargs: pytest.fail("computed again"))
    edits = {
        "graph.memory.capacity": 5,
        "graph.propagate.k": 2,
        "distill.matching.delta": 0.1,
        "distill.teacher.m": 0.5,
    }
    two = prepare_adaptation(apply(config, edits), tmp_path, lambda progress: None)
    two.step.warm_start(two.warm_start)
    for bank, same in zip(two.parts.banks.all(), one.parts.banks.all(), strict=True):
        assert torch.equal(bank.embeddings, same.embeddings[: len(bank.embeddings)])
    assert one.warm_start.seconds >= two.warm_start.seconds > 0.0

"""Warm starts take examples in a seeded order, compute each embedding once and keep it in the cache."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from gckd.method import warm_start as warm
from gckd.method.warm_start import WarmStart, warm_start_order
from gckd.seeding import generator
from gckd.storage.checkpoint import load_checkpoint

ROWS, WIDTH = 23, 3


class Encoder:
    """Encoder that embeds a row by its number and records its arguments."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, rows: Tensor) -> Tensor:
        self.rows += rows.tolist()
        return rows[:, None].float().expand(-1, WIDTH)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "BATCH", 4)


def taken(start: WarmStart, count: int, embed: Encoder) -> list[tuple[int, float]]:
    batches = start.first("image", 0, ROWS, count, embed)
    return [(int(row), float(z[0])) for rows, embeddings in batches for row, z in zip(rows, embeddings, strict=True)]


def test_every_example_is_embedded_once_in_a_seeded_order(tmp_path: Path) -> None:
    result = taken(WarmStart(tmp_path), ROWS, Encoder())
    assert sorted(row for row, _ in result) == list(range(ROWS))
    assert all(row == z for row, z in result)
    assert result != taken_with_seed(1)


def taken_with_seed(seed: int) -> list[tuple[int, float]]:
    batches = WarmStart().first("image", seed, ROWS, ROWS, Encoder())
    return [(int(row), float(z[0])) for rows, embeddings in batches for row, z in zip(rows, embeddings, strict=True)]


def test_a_larger_bank_takes_more_examples_of_the_same_order(tmp_path: Path) -> None:
    """Whole batches are computed: 6 examples cost 8, 10 cost 4 more, fewer cost nothing."""
    first, more, less = Encoder(), Encoder(), Encoder()
    small = taken(WarmStart(tmp_path), 6, first)
    large = taken(WarmStart(tmp_path), 10, more)
    assert large[:6] == small
    assert (len(first.rows), len(more.rows)) == (8, 4)
    assert taken(WarmStart(tmp_path), 3, less) == small[:3]
    assert less.rows == []


def test_nothing_is_cached_without_a_folder() -> None:
    once, again = Encoder(), Encoder()
    start = WarmStart()
    assert taken(start, 6, once) == taken(start, 6, again)
    assert once.rows == again.rows


def test_the_order_depends_on_the_name_and_the_seed() -> None:
    expected = torch.randperm(ROWS, generator=generator(5, "warm-start/image"))
    assert torch.equal(warm_start_order("image", 5, ROWS), expected)


def test_each_name_and_seed_has_a_file(tmp_path: Path) -> None:
    start = WarmStart(tmp_path)
    for name, seed in (("image", 0), ("image", 1), ("text", 0)):
        start.first(name, seed, ROWS, 6, Encoder())
    assert {path.name for path in tmp_path.glob("*.pt")} == {"image-0.pt", "image-1.pt", "text-0.pt"}


def test_the_file_holds_whole_batches_and_their_time(tmp_path: Path) -> None:
    start = WarmStart(tmp_path)
    taken(start, 6, Encoder())
    content = load_checkpoint(tmp_path / "image-0.pt")
    assert content["embeddings"][:, 0].tolist() == warm_start_order("image", 0, ROWS)[:8].tolist()
    assert 0.0 < content["seconds"] < 60.0
    assert start.seconds == pytest.approx(content["seconds"])


def test_seconds_are_in_proportion_to_the_embeddings_that_are_used(tmp_path: Path) -> None:
    """12 are cached; 8 of them are computed for 6 entries, and none for no entries."""
    taken(WarmStart(tmp_path), 10, Encoder())
    file = tmp_path / "image-0.pt"
    content = load_checkpoint(file)
    torch.save(content | {"seconds": 30.0}, file)
    start = WarmStart(tmp_path)
    taken(start, 6, Encoder())
    assert start.seconds == pytest.approx(30.0 * 8 / 12)
    taken(start, 10, Encoder())
    assert start.seconds == pytest.approx(20.0 + 30.0)


def test_more_embeddings_add_to_the_time(tmp_path: Path) -> None:
    taken(WarmStart(tmp_path), 4, Encoder())
    file = tmp_path / "image-0.pt"
    torch.save(load_checkpoint(file) | {"seconds": 30.0}, file)
    taken(WarmStart(tmp_path), 8, Encoder())
    assert 30.0 < load_checkpoint(file)["seconds"] < 60.0


def test_a_damaged_file_is_computed_again(tmp_path: Path) -> None:
    expected = taken(WarmStart(tmp_path), 6, Encoder())
    (tmp_path / "image-0.pt").write_bytes(b"damaged")
    encoder = Encoder()
    assert taken(WarmStart(tmp_path), 6, encoder) == expected
    assert len(encoder.rows) == 8


def test_batches_have_their_size() -> None:
    batches = WarmStart().first("image", 0, ROWS, 10, Encoder())
    assert [(len(rows), tuple(z.shape)) for rows, z in batches] == [(4, (4, 3)), (4, (4, 3)), (2, (2, 3))]

"""Shapley values against an average over all orders, and in games with a known answer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gckd.report.shapley import interactions, shapley, shapley_table
from tests.report.records import record

NAMES = ("a", "b", "c", "d")
SUBSETS = [frozenset(s) for size in range(5) for s in itertools.combinations(NAMES, size)]


def test_shapley_values_equal_the_average_over_all_orders() -> None:
    values = dict(zip(SUBSETS, np.random.default_rng(0).normal(size=16).tolist(), strict=True))
    gains: dict[str, list[float]] = {name: [] for name in NAMES}
    for order in itertools.permutations(NAMES):
        for i, name in enumerate(order):
            gains[name].append(values[frozenset(order[: i + 1])] - values[frozenset(order[:i])])
    values_of = shapley(values)
    assert values_of == pytest.approx({name: np.mean(g) for name, g in gains.items()})
    assert sum(values_of.values()) == pytest.approx(values[frozenset(NAMES)] - values[frozenset()])


def test_additive_components_do_not_interact() -> None:
    worth = {"a": 1.0, "b": 2.0, "c": -0.5, "d": 0.0}
    values = {s: 40 + sum(worth[name] for name in s) for s in SUBSETS}
    assert shapley(values) == pytest.approx(worth)
    assert list(interactions(values).values()) == pytest.approx([0.0] * 6, abs=1e-9)


def test_two_interchangeable_components_share_their_value_and_interact_negatively() -> None:
    values = {s: 3.0 if s & {"a", "b"} else 0.0 for s in SUBSETS}
    assert shapley(values) == pytest.approx({"a": 1.5, "b": 1.5, "c": 0.0, "d": 0.0})
    pairs = interactions(values)
    assert pairs[("a", "b")] == pytest.approx(-3.0)
    assert pairs[("a", "c")] == pytest.approx(0.0)


def test_the_table_uses_only_seeds_with_every_combination() -> None:
    """By hand: gmp alone gains 1, cmkd alone 2, both 5: values 2 and 3, interaction 2. Seed 1 is incomplete."""
    dropped = {"-gmp": ["gmp"], "-cmkd": ["cmkd"], "-gmp-cmkd": ["gmp", "cmkd"]}
    worth = {"full": 55.0, "-gmp": 52.0, "-cmkd": 51.0, "-gmp-cmkd": 50.0}
    runs = [record(row, 0, value) for row, value in worth.items()] + [record("full", 1, 99.0)]
    table = shapley_table(runs, dropped)
    assert table is not None
    assert table.lines == [["cmkd", "+3.0", "+3.0"], ["gmp", "+2.0", "+2.0"], ["cmkd x gmp", "+2.0", "+2.0"]]
    assert shapley_table(runs[1:], dropped) is None

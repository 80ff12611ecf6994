"""Shapley values against all orders of adding, and against games with a known answer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gckd.report.shapley import contributions, interactions, shapley
from tests.report.records import record

NAMES = ("a", "b", "c", "d")
SUBSETS = [frozenset(s) for size in range(5) for s in itertools.combinations(NAMES, size)]


def test_against_every_order() -> None:
    values = dict(zip(SUBSETS, np.random.default_rng(0).normal(size=16).tolist(), strict=True))
    gains: dict[str, list[float]] = {name: [] for name in NAMES}
    for order in itertools.permutations(NAMES):
        for i, name in enumerate(order):
            gains[name].append(values[frozenset(order[: i + 1])] - values[frozenset(order[:i])])
    found = shapley(values)
    assert found == pytest.approx({name: np.mean(g) for name, g in gains.items()})
    assert sum(found.values()) == pytest.approx(values[frozenset(NAMES)] - values[frozenset()])


def test_what_only_adds_up_does_not_interact() -> None:
    worth = {"a": 1.0, "b": 2.0, "c": -0.5, "d": 0.0}
    values = {s: 40 + sum(worth[name] for name in s) for s in SUBSETS}
    assert shapley(values) == pytest.approx(worth)
    assert list(interactions(values).values()) == pytest.approx([0.0] * 6, abs=1e-9)


def test_two_that_do_the_same_share_it_and_take_it_from_each_other() -> None:
    values = {s: 3.0 if s & {"a", "b"} else 0.0 for s in SUBSETS}
    assert shapley(values) == pytest.approx({"a": 1.5, "b": 1.5, "c": 0.0, "d": 0.0})
    found = interactions(values)
    assert found[("a", "b")] == pytest.approx(-3.0)
    assert found[("a", "c")] == pytest.approx(0.0)


def test_the_table_uses_seeds_with_every_combination() -> None:
    """By hand: gmp alone gains 1, cmkd alone 2, both 5; so 2, 3 and an interaction of 2. Seed 1 lacks a row."""
    dropped = {"-gmp": ["gmp"], "-cmkd": ["cmkd"], "-gmp-cmkd": ["gmp", "cmkd"]}
    worth = {"full": 55.0, "-gmp": 52.0, "-cmkd": 51.0, "-gmp-cmkd": 50.0}
    runs = [record(row, 0, value) for row, value in worth.items()] + [record("full", 1, 99.0)]
    found = contributions(runs, dropped)
    assert found is not None
    assert found.lines == [["cmkd", "+3.0", "+3.0"], ["gmp", "+2.0", "+2.0"], ["cmkd x gmp", "+2.0", "+2.0"]]
    assert contributions(runs[1:], dropped) is None

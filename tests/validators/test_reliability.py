"""Reliability of the true Rank-1, against simulated splits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gckd.validators.reliability import reliability


def test_reliability_by_hand() -> None:
    """One swap of neighbours among 5: rho = 1 - 6 * 2 / 120 = 0.9, 1.8 / 1.9 = 0.947368, its root 0.973329."""
    first, second = (50.0, 51.0, 52.0, 53.0, 54.0), (40.0, 41.0, 42.0, 44.0, 43.0)
    result = reliability(list(zip(first, second, strict=True)))
    assert result is not None
    assert (result.halves, result.whole, result.limit) == pytest.approx((0.9, 0.947368, 0.973329), abs=1e-6)


@pytest.mark.parametrize("second", [(4.0, 3.0, 2.0, 1.0), (3.0, 4.0, 1.0, 2.0)])
def test_halves_that_contradict_each_other_show_nothing(second: tuple[float, ...]) -> None:
    result = reliability(list(zip((1.0, 2.0, 3.0, 4.0), second, strict=True)))
    assert result is not None and result.halves < 0
    assert (result.whole, result.limit) == (0.0, 0.0)


@pytest.mark.parametrize("halves", [[], [(1.0, 2.0)] * 3, [(1.0, 1.0), (1.0, 2.0), (1.0, 3.0), (1.0, 4.0)]])
def test_no_reliability_of_too_few_trials_or_of_a_constant(halves: list[tuple[float, float]]) -> None:
    assert reliability(halves) is None


def test_the_limit_is_the_correlation_of_the_accuracy_with_what_is_measured() -> None:
    """Normal accuracies, and an independent sampling error on each half as large as their spread."""
    random = np.random.default_rng(0)
    accuracy, errors = random.normal(size=4000), random.normal(size=(4000, 2))
    halves = accuracy[:, None] + errors
    result = reliability([(float(a), float(b)) for a, b in halves])
    assert result is not None
    assert result.limit == pytest.approx(math.sqrt(1 / (1 + 1 / 2)), abs=0.03)
    ranks = [np.argsort(np.argsort(values)) for values in (accuracy, halves.mean(1))]
    assert result.limit == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=0.03)

"""Intervals against the printed t table and against numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_rel

from gckd.report.statistics import estimate, holm, paired, paired_p

# t(0.975, degrees of freedom), as printed in any statistics book
T_TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 29: 2.045}


@pytest.mark.parametrize("freedom", T_TABLE)
def test_half_width_is_t_times_the_standard_error(freedom: int) -> None:
    values = np.random.default_rng(freedom).normal(70, 2, freedom + 1)
    found = estimate(values.tolist())
    assert found.n == freedom + 1
    assert found.mean == pytest.approx(values.mean())
    standard_error = values.std(ddof=1) / math.sqrt(len(values))
    assert found.half_width == pytest.approx(T_TABLE[freedom] * standard_error, rel=3e-4)


def test_two_values_by_hand() -> None:
    found = estimate([69.0, 71.0])  # s = sqrt(2), s / sqrt(2) = 1
    assert (found.mean, found.n) == (70.0, 2)
    assert found.half_width == pytest.approx(12.7062, abs=1e-4)


def test_equal_values_have_no_width() -> None:
    assert estimate([5.0, 5.0, 5.0]).half_width == 0


def test_one_value_has_no_interval() -> None:
    found = estimate([70.0])
    assert (found.mean, found.half_width, found.n) == (70.0, None, 1)


def test_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        estimate([])


def test_pairing_takes_out_what_the_seeds_share() -> None:
    full = {0: 60.0, 1: 70.0, 2: 80.0}
    row = {seed: value - 2 for seed, value in full.items()}
    found = paired(full, row)
    assert found is not None
    assert (found.mean, found.half_width, found.n) == (2.0, 0.0, 3)


def test_pairing_is_full_minus_row_over_common_seeds() -> None:
    found = paired({0: 60.0, 1: 71.0, 5: 0.0}, {1: 70.0, 0: 61.0, 7: 99.0})
    assert found is not None
    assert (found.mean, found.n) == (0.0, 2)
    assert paired({0: 1.0}, {1: 1.0}) is None


@pytest.mark.parametrize("seeds", [2, 3, 5, 30])
def test_p_against_scipy(seeds: int) -> None:
    random = np.random.default_rng(seeds)
    full, row = random.normal(70, 2, seeds), random.normal(69, 2, seeds)
    assert paired_p(dict(enumerate(full)), dict(enumerate(row))) == pytest.approx(ttest_rel(full, row).pvalue)


def test_there_is_no_p_without_spread() -> None:
    assert paired_p({0: 1.0}, {0: 2.0}) is None
    assert paired_p({0: 1.0, 1: 2.0}, {0: 2.0, 1: 3.0}) is None


def test_holm_by_hand() -> None:
    """Of four: the smallest times 4, the next times 3; then 2 x 0.03, which is below that of the one before."""
    found = holm({"a": 0.01, "b": 0.03, "c": 0.9, "d": 0.025})
    assert found == pytest.approx({"a": 0.04, "d": 0.075, "b": 0.075, "c": 0.9})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}

"""Estimates and tests against the printed t table, numpy and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_rel

from gckd.report.statistics import estimate, holm, paired, paired_p, stated_p, written_p

# t(0.975, degrees of freedom), as printed in any statistics book
T_TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 29: 2.045}


@pytest.mark.parametrize("freedom", T_TABLE)
def test_half_width_is_t_times_the_standard_error(freedom: int) -> None:
    values = np.random.default_rng(freedom).normal(70, 2, freedom + 1)
    estimated = estimate(values.tolist())
    assert estimated.n == freedom + 1
    assert estimated.mean == pytest.approx(values.mean())
    standard_error = values.std(ddof=1) / math.sqrt(len(values))
    assert estimated.half_width == pytest.approx(T_TABLE[freedom] * standard_error, rel=3e-4)


def test_two_values_by_hand() -> None:
    estimated = estimate([69.0, 71.0])  # s = sqrt(2), s / sqrt(2) = 1
    assert (estimated.mean, estimated.n) == (70.0, 2)
    assert estimated.half_width == pytest.approx(12.7062, abs=1e-4)


def test_equal_values_have_an_interval_of_width_zero() -> None:
    assert estimate([5.0, 5.0, 5.0]).half_width == 0


def test_one_value_has_no_interval() -> None:
    estimated = estimate([70.0])
    assert (estimated.mean, estimated.half_width, estimated.n) == (70.0, None, 1)


def test_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        estimate([])


def test_pairing_cancels_what_the_seeds_share() -> None:
    full = {0: 60.0, 1: 70.0, 2: 80.0}
    row = {seed: value - 2 for seed, value in full.items()}
    difference = paired(full, row)
    assert difference is not None
    assert (difference.mean, difference.half_width, difference.n) == (2.0, 0.0, 3)


def test_a_paired_difference_is_full_minus_row_over_common_seeds() -> None:
    difference = paired({0: 60.0, 1: 71.0, 5: 0.0}, {1: 70.0, 0: 61.0, 7: 99.0})
    assert difference is not None
    assert (difference.mean, difference.n) == (0.0, 2)
    assert paired({0: 1.0}, {1: 1.0}) is None


@pytest.mark.parametrize("seeds", [2, 3, 5, 30])
def test_p_equals_that_of_scipy(seeds: int) -> None:
    random = np.random.default_rng(seeds)
    full, row = random.normal(70, 2, seeds), random.normal(69, 2, seeds)
    assert paired_p(dict(enumerate(full)), dict(enumerate(row))) == pytest.approx(ttest_rel(full, row).pvalue)


def test_without_variance_there_is_no_p() -> None:
    assert paired_p({0: 1.0}, {0: 2.0}) is None
    assert paired_p({0: 1.0, 1: 2.0}, {0: 2.0, 1: 3.0}) is None


def test_holm_by_hand() -> None:
    """Of four p values: 4 x 0.01, 3 x 0.025, then 2 x 0.03, which is raised to the one before."""
    corrected = holm({"a": 0.01, "b": 0.03, "c": 0.9, "d": 0.025})
    assert corrected == pytest.approx({"a": 0.04, "d": 0.075, "b": 0.075, "c": 0.9})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_no_p_value_is_written_as_zero() -> None:
    assert [written_p(p) for p in (0.0, 0.0009996, 0.001, 0.0456, 1.0)] == [
        "< 0.001",
        "< 0.001",
        "0.001",
        "0.046",
        "1.000",
    ]
    assert [stated_p(p) for p in (1e-9, 0.012)] == ["p < 0.001", "p = 0.012"]

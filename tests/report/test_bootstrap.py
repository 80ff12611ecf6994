"""Bootstrap intervals against scipy, and in cases with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gckd.report.bootstrap import SEED_RESAMPLES, cluster_bootstrap, seed_bootstrap


@pytest.mark.parametrize("seeds", [5, 30])
def test_seed_bootstrap_equals_that_of_scipy(seeds: int) -> None:
    values = np.random.default_rng(seeds).normal(70, 2, seeds)
    columns = {"a": values.tolist(), "shifted": (values + 1).tolist()}
    intervals = seed_bootstrap(columns)
    expected = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=SEED_RESAMPLES, rng=1)
    width = expected.confidence_interval.high - expected.confidence_interval.low
    assert intervals["a"] == pytest.approx(tuple(expected.confidence_interval), abs=0.05 * width)
    assert intervals["shifted"] == pytest.approx(tuple(end + 1 for end in intervals["a"]))
    assert intervals == seed_bootstrap(columns)


def test_three_seeds_give_their_whole_range() -> None:
    """All three draws are the smallest value with probability 1/27, more than 2.5 %."""
    assert seed_bootstrap({"a": [70.0, 71.0, 75.0]}) == {"a": (70.0, 75.0)}


@pytest.mark.parametrize("values", [[], [70.0], [70.0, 71.0]])
def test_fewer_than_three_seeds_give_no_interval(values: list[float]) -> None:
    assert seed_bootstrap({"a": values}) == {}


@pytest.mark.parametrize(("seeds", "covered"), [(3, 0.75), (5, 0.84), (10, 0.90)])
def test_coverage_is_that_of_the_caption(seeds: int, covered: float) -> None:
    """Simulation of 2,000 tables with normal noise; its standard error is at most 1 %."""
    random = np.random.default_rng(seeds)
    tables = {i: random.normal(size=seeds) for i in range(2000)}
    intervals = cluster_bootstrap(tables, np.arange(seeds), 2000)
    assert np.mean([low <= 0 <= high for low, high in intervals.values()]) == pytest.approx(covered, abs=0.03)


def test_cluster_bootstrap_equals_that_of_scipy() -> None:
    """Clusters have 1 to 6 values. scipy resamples clusters and divides the sum of values by their number."""
    random = np.random.default_rng(0)
    cluster = np.repeat(np.arange(40), random.integers(1, 7, 40))
    values = random.normal(50, 5, len(cluster)) + random.normal(0, 10, 40)[cluster]
    sums, counts = np.bincount(cluster, values), np.bincount(cluster)
    expected = stats.bootstrap(
        (sums, counts),
        lambda s, n, axis: s.sum(axis) / n.sum(axis),
        paired=True,
        method="percentile",
        n_resamples=20_000,
        rng=1,
    ).confidence_interval
    shuffled = random.permutation(len(values))
    interval = cluster_bootstrap({"a": values[shuffled]}, 7 - 3 * cluster[shuffled], 20_000)["a"]
    assert interval == pytest.approx(tuple(expected), abs=0.05 * (expected.high - expected.low))


def test_repeated_values_in_a_cluster_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(0).normal(size=50)
    once = cluster_bootstrap({"a": values}, np.arange(50), 1000)["a"]
    assert cluster_bootstrap({"a": np.repeat(values, 4)}, np.repeat(np.arange(50), 4), 1000)["a"] == pytest.approx(once)
    independent = cluster_bootstrap({"a": np.repeat(values, 4)}, np.arange(200), 1000)["a"]
    assert (once.high - once.low) / (independent.high - independent.low) == pytest.approx(2, rel=0.15)


def test_all_columns_share_the_draws() -> None:
    values = np.random.default_rng(0).normal(size=50)
    intervals = cluster_bootstrap(
        {"a": values, "shifted": values + 3, "gain": values - values + 3}, np.arange(50) // 2, 700
    )
    assert intervals["shifted"] == pytest.approx(tuple(end + 3 for end in intervals["a"]))
    assert intervals["gain"] == pytest.approx((3, 3))

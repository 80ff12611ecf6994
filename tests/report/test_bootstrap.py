"""Bootstrap intervals against scipy's and against cases with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gckd.report.statistics import OF_SEEDS, clustered, over_seeds


@pytest.mark.parametrize("seeds", [5, 30])
def test_over_seeds_against_scipy(seeds: int) -> None:
    values = np.random.default_rng(seeds).normal(70, 2, seeds)
    columns = {"a": values.tolist(), "more": (values + 1).tolist()}
    found = over_seeds(columns)
    wanted = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=OF_SEEDS, rng=1)
    width = wanted.confidence_interval.high - wanted.confidence_interval.low
    assert found["a"] == pytest.approx(tuple(wanted.confidence_interval), abs=0.05 * width)
    assert found["more"] == pytest.approx(tuple(end + 1 for end in found["a"]))
    assert found == over_seeds(columns)


def test_of_three_seeds_it_is_all_there_is() -> None:
    """All three draws are the smallest with a chance of 1/27, which is above 2.5 %."""
    assert over_seeds({"a": [70.0, 71.0, 75.0]}) == {"a": (70.0, 75.0)}


@pytest.mark.parametrize("values", [[], [70.0], [70.0, 71.0]])
def test_fewer_seeds_say_nothing(values: list[float]) -> None:
    assert over_seeds({"a": values}) == {}


@pytest.mark.parametrize(("seeds", "covered"), [(3, 0.75), (5, 0.84), (10, 0.90)])
def test_the_caption_says_how_often_it_holds_the_mean(seeds: int, covered: float) -> None:
    """By simulation with normal noise, 2,000 tables; a standard error of 1 % at most."""
    random = np.random.default_rng(seeds)
    tables = {i: random.normal(size=seeds) for i in range(2000)}
    found = clustered(tables, np.arange(seeds), 2000)
    assert np.mean([low <= 0 <= high for low, high in found.values()]) == pytest.approx(covered, abs=0.03)


def test_clusters_against_scipy() -> None:
    """A mean of all that is drawn, clusters of 1 to 6; scipy draws the clusters and takes the ratio of two sums."""
    random = np.random.default_rng(0)
    cluster = np.repeat(np.arange(40), random.integers(1, 7, 40))
    values = random.normal(50, 5, len(cluster)) + random.normal(0, 10, 40)[cluster]
    sums, counts = np.bincount(cluster, values), np.bincount(cluster)
    wanted = stats.bootstrap(
        (sums, counts),
        lambda s, n, axis: s.sum(axis) / n.sum(axis),
        paired=True,
        method="percentile",
        n_resamples=20_000,
        rng=1,
    ).confidence_interval
    shuffled = random.permutation(len(values))
    found = clustered({"a": values[shuffled]}, 7 - 3 * cluster[shuffled], 20_000)["a"]
    assert found == pytest.approx(tuple(wanted), abs=0.05 * (wanted.high - wanted.low))


def test_what_a_cluster_repeats_tells_nothing_new() -> None:
    values = np.random.default_rng(0).normal(size=50)
    once = clustered({"a": values}, np.arange(50), 1000)["a"]
    assert clustered({"a": np.repeat(values, 4)}, np.repeat(np.arange(50), 4), 1000)["a"] == pytest.approx(once)
    alone = clustered({"a": np.repeat(values, 4)}, np.arange(200), 1000)["a"]
    assert (once.high - once.low) / (alone.high - alone.low) == pytest.approx(2, rel=0.15)


def test_all_values_see_the_same_draws() -> None:
    values = np.random.default_rng(0).normal(size=50)
    found = clustered({"a": values, "more": values + 3, "gain": values - values + 3}, np.arange(50) // 2, 700)
    assert found["more"] == pytest.approx(tuple(end + 3 for end in found["a"]))
    assert found["gain"] == pytest.approx((3, 3))

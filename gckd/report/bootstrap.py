"""Bootstrap confidence intervals of means: over seeds, and over clusters of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
MIN_SEEDS = 3  # for a bootstrap over seeds
SEED_RESAMPLES, QUERY_RESAMPLES = 10_000, 1_000
_MAX_WEIGHTS = 1_000_000  # of resamples in memory at once

K = TypeVar("K")


class Interval(NamedTuple):
    """Both ends of a confidence interval, in the unit of the values."""

    low: float
    high: float


def seed_bootstrap(values: Mapping[K, Sequence[float]]) -> dict[K, Interval]:
    """Interval of the mean of each column of values over seeds; empty with fewer than `MIN_SEEDS` seeds.

    It is too narrow for few seeds: with 3, it reaches from the smallest to the largest value, and contains the true
    mean in 75 % of cases.

    Args:
        values: name -> [S], one value per seed; the same seeds in every column.
    """
    seeds = min(map(len, values.values()), default=0)
    return cluster_bootstrap(values, np.arange(seeds), SEED_RESAMPLES) if seeds >= MIN_SEEDS else {}


def cluster_bootstrap(values: Mapping[K, ArrayLike], cluster: NDArray[Any], resamples: int) -> dict[K, Interval]:
    """Interval of the mean of each column of values, if values of one cluster depend on each other.

    A resample draws as many clusters as there are, with replacement, and averages over all their values (Davison and
    Hinkley, Bootstrap Methods and their Application, section 3.8). All columns share the draws.

    Args:
        values: name -> [Q].
        cluster: [Q], number of the cluster of each value.
        resamples: number of draws.
    """
    _, place, counts = np.unique(cluster, return_inverse=True, return_counts=True)
    columns = np.stack([np.asarray(column, dtype=np.float64) for column in values.values()], axis=1)
    sums = np.zeros((len(counts), columns.shape[1]))
    np.add.at(sums, place, columns)
    random, even, means = np.random.default_rng(0), np.full(len(counts), 1 / len(counts)), []
    step = max(1, _MAX_WEIGHTS // len(counts))
    for start in range(0, resamples, step):
        drawn = random.multinomial(len(counts), even, size=min(step, resamples - start)).astype(np.float64)
        means.append(drawn @ sums / (drawn @ counts)[:, None])
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(np.concatenate(means), [tail, 100 - tail], axis=0)
    return {name: Interval(float(low[i]), float(high[i])) for i, name in enumerate(values)}

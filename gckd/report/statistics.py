"""Means over seeds with their intervals, and tests of several differences at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from scipy.special import stdtr, stdtrit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """Both ends, in the unit of what they are of."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, and how far it may be off; None is what a single seed, or too few, cannot tell."""

    mean: float
    half_width: float | None  # of the 95 % interval by Student's t
    n: int  # seeds
    deviation: float | None = None  # sample standard deviation over the seeds
    over_seeds: Interval | None = None  # bootstrap, seeds drawn again
    over_queries: Interval | None = None  # bootstrap, queries drawn again and the seeds as they are


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % interval of values that were drawn independently, one a seed.

    mean ± t(0.975, n - 1) s / sqrt(n), with s the sample standard deviation.

    Raises:
        ValueError: no values.
    """
    n = len(values)
    if n == 0:
        raise ValueError("estimate: no values; at least 1 is needed")
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, None, 1)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    quantile = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2))
    return Estimate(mean, quantile * deviation / math.sqrt(n), n, deviation)


def paired(full: Mapping[int, float], row: Mapping[int, float]) -> Estimate | None:
    """full - row, seed by seed, over the seeds that both have; None if they share none.

    The interval is that of the differences: what the seeds have in common (weights, batches) cancels.
    """
    found = paired_differences(full, row)
    return estimate(found) if found else None


def paired_differences(full: Mapping[int, float], row: Mapping[int, float]) -> list[float]:
    """full - row of each seed that both have."""
    return [full[seed] - row[seed] for seed in sorted(full.keys() & row.keys())]


def paired_p(full: Mapping[int, float], row: Mapping[int, float]) -> float | None:
    """Two-sided p of the paired t test that full and row are alike, over the seeds that both have.

    None where there are fewer than two, or where all differences are equal and t has no spread to be measured by.
    """
    differences = paired_differences(full, row)
    n = len(differences)
    if n < 2:
        return None
    mean = math.fsum(differences) / n
    variance = math.fsum((d - mean) ** 2 for d in differences) / (n - 1)
    return 2 * float(stdtr(n - 1, -abs(mean) / math.sqrt(variance / n))) if variance else None


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p values of several tests, corrected so that the chance of any false alarm among them is bounded.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979: the
    i-th smallest of m is multiplied by m - i + 1, and none may be below a smaller one.
    """
    corrected: dict[str, float] = {}
    least = 0.0
    for i, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        least = max(least, min(1.0, (len(p_values) - i) * p))
        corrected[name] = least
    return corrected


FEWEST = 3  # seeds
OF_SEEDS, OF_QUERIES = 10_000, 1_000  # resamples
_AT_A_TIME = 1_000_000  # weights of resamples in memory

K = TypeVar("K")


def over_seeds(values: Mapping[K, Sequence[float]]) -> dict[K, Interval]:
    """Of the mean of each of several values, one a seed; none with fewer than `FEWEST`, of which draws say nothing.

    It is too narrow for few seeds: of 3 it is from the smallest to the largest value, and holds the true mean in 75 %
    of cases.

    Args:
        values: name -> [S], of the same seeds.
    """
    seeds = min(map(len, values.values()), default=0)
    return clustered(values, np.arange(seeds), OF_SEEDS) if seeds >= FEWEST else {}


def clustered(values: Mapping[K, ArrayLike], cluster: NDArray[Any], resamples: int) -> dict[K, Interval]:
    """Of the mean of each of several values of the same things, where things of one cluster are not independent.

    A resample draws as many clusters as there are, each with all that is in it, and averages over what it drew
    (Davison and Hinkley, Bootstrap Methods and their Application, section 3.8). All values see the same draws.

    Args:
        values: name -> [Q]. cluster: [Q], equal where the cluster is the same.
    """
    _, place, counts = np.unique(cluster, return_inverse=True, return_counts=True)
    columns = np.stack([np.asarray(column, dtype=np.float64) for column in values.values()], axis=1)
    sums = np.zeros((len(counts), columns.shape[1]))
    np.add.at(sums, place, columns)
    random, even, means = np.random.default_rng(0), np.full(len(counts), 1 / len(counts)), []
    step = max(1, _AT_A_TIME // len(counts))
    for start in range(0, resamples, step):
        drawn = random.multinomial(len(counts), even, size=min(step, resamples - start)).astype(np.float64)
        means.append(drawn @ sums / (drawn @ counts)[:, None])
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(np.concatenate(means), [tail, 100 - tail], axis=0)
    return {name: Interval(float(low[i]), float(high[i])) for i, name in enumerate(values)}

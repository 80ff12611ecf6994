"""Means over seeds, with Student's t."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy.special import stdtrit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds; `half_width` is that of its 95 % interval, None for a single seed."""

    mean: float
    half_width: float | None
    n: int


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
    quantile = float(stdtrit(n - 1, 0.5 + _CONFIDENCE / 2))
    return Estimate(mean, quantile * deviation / math.sqrt(n), n)


def paired(full: Mapping[int, float], row: Mapping[int, float]) -> Estimate | None:
    """full - row, seed by seed, over the seeds that both have; None if they share none.

    The interval is that of the differences: what the seeds have in common (weights, batches) cancels.
    """
    seeds = sorted(full.keys() & row.keys())
    return estimate([full[s] - row[s] for s in seeds]) if seeds else None

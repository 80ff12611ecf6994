"""Means over seeds with confidence intervals, and paired tests of several differences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy.special import stdtr, stdtrit

from gckd.report.bootstrap import CONFIDENCE, Interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Estimate:
    """Mean over seeds with its uncertainty. None: not defined for one seed, or for too few."""

    mean: float
    half_width: float | None  # of the 95 % interval by Student's t
    n: int  # seeds
    deviation: float | None = None  # sample standard deviation over seeds
    over_seeds: Interval | None = None  # bootstrap over seeds
    over_queries: Interval | None = None  # bootstrap over queries, with the seeds fixed


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % interval of independent values, one per seed.

    mean ± t(0.975, n - 1) s / sqrt(n), where s is the sample standard deviation.

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
    """Mean of full - row over the seeds that both have; None without a common seed.

    The interval is that of the differences, so what a seed shares (weights, batches) cancels.
    """
    differences = paired_differences(full, row)
    return estimate(differences) if differences else None


def paired_differences(full: Mapping[int, float], row: Mapping[int, float]) -> list[float]:
    """full - row for each seed that both have."""
    return [full[seed] - row[seed] for seed in sorted(full.keys() & row.keys())]


def paired_p(full: Mapping[int, float], row: Mapping[int, float]) -> float | None:
    """Two-sided p value of the paired t test of equal means, over the seeds that both have.

    None with fewer than two common seeds, or if all differences are equal, where t is not defined.
    """
    differences = paired_differences(full, row)
    n = len(differences)
    if n < 2:
        return None
    mean = math.fsum(differences) / n
    variance = math.fsum((d - mean) ** 2 for d in differences) / (n - 1)
    return 2 * float(stdtr(n - 1, -abs(mean) / math.sqrt(variance / n))) if variance else None


def written_p(p: float) -> str:
    """A p value in a table: `0.012`, or `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def stated_p(p: float) -> str:
    """A p value in a sentence: `p = 0.012`, or `p < 0.001`."""
    text = written_p(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p values of several tests, corrected so that the chance of any false positive among them is bounded.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979: the
    i-th smallest of m is multiplied by m - i + 1, and no corrected value is below that of a smaller p value.
    """
    corrected: dict[str, float] = {}
    least = 0.0
    for i, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        least = max(least, min(1.0, (len(p_values) - i) * p))
        corrected[name] = least
    return corrected

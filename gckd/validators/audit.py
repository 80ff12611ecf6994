"""What a choice without labels cost, told after the search by whoever may read target labels: here they are numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy.special import ndtri
from scipy.stats import kendalltau, spearmanr

from gckd.validators.choose import SELECTORS, choose, merits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CONFIDENCE = 0.95
_FEWEST = 4  # trials below which the interval's standard error, 1 / sqrt(n - 3), does not exist


@dataclass(frozen=True)
class Correlation:
    """How a score orders trials, against their true order: Spearman's rho, its 95 % interval, and Kendall's tau-b."""

    spearman: float
    low: float
    high: float
    kendall: float


@dataclass(frozen=True)
class AuditRow:
    """One way to select. `picked` and `correlation` are None where there is no such thing: the row "random", and for
    the correlation also fewer than 4 trials or one value throughout. `regret` in percentage points.
    """

    select: str
    correlation: Correlation | None
    picked: int | None
    regret: float


def audit(
    candidates: Sequence[Mapping[str, float]], true_rank_1: Sequence[float], start: Mapping[str, float]
) -> list[AuditRow]:
    """One row for each of `SELECTORS`, and "random" last: a trial drawn at random, its regret expected.

    Args:
        candidates: the scores of each trial at its selected epoch; start: those of the source model.
        true_rank_1: percent on labelled target data, one a trial. This module opens no data itself.

    regret = best true Rank-1 - true Rank-1 of the trial picked. What is correlated with the true Rank-1 is what picks:
    `gckd.validators.choose.merits`, in which collapsed trials stand below all others.

    Raises:
        ValueError: no trials, or not one true value a trial.
    """
    if len(candidates) != len(true_rank_1) or not candidates:
        raise ValueError(f"audit: {len(candidates)} trials and {len(true_rank_1)} true values; one a trial is needed")
    best = max(true_rank_1)
    rows = []
    for select in SELECTORS:
        picked = choose(candidates, start, select)
        agreement = correlation(merits(candidates, start, select), true_rank_1)
        rows.append(AuditRow(select, agreement, picked, best - true_rank_1[picked]))
    expected = best - math.fsum(true_rank_1) / len(true_rank_1)
    return [*rows, AuditRow("random", None, None, expected)]


def correlation(x: Sequence[float], y: Sequence[float]) -> Correlation | None:
    """Rank correlations of paired values; None for fewer than 4 pairs, or if x or y is one value throughout.

    The interval of rho is Fisher's, tanh(artanh(rho) ± 1.96 s) with s^2 = (1 + rho^2 / 2) / (n - 3) (Bonett and Wright,
    "Sample size requirements for estimating Pearson, Kendall and Spearman correlations", Psychometrika 2000). A perfect
    order is taken half a step short of +-1 (the next value is 12 / (n^3 - n) away), or its interval would have no width
    however few the trials.
    """
    n = len(x)
    if n < _FEWEST or min(x) == max(x) or min(y) == max(y):
        return None
    rho = float(spearmanr(x, y).statistic)
    most = 1 - 6 / (n**3 - n)
    short = max(-most, min(most, rho))
    half = float(ndtri(0.5 + _CONFIDENCE / 2)) * math.sqrt((1 + short**2 / 2) / (n - 3))
    low, high = math.tanh(math.atanh(short) - half), math.tanh(math.atanh(short) + half)
    return Correlation(rho, min(low, rho), max(high, rho), float(kendalltau(x, y).statistic))

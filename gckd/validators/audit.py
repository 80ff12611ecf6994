"""Cost of choosing without target labels, computed after a search from the true metrics of its trials."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy.special import ndtri
from scipy.stats import spearmanr

from gckd.validators.choose import DEFAULT, choose, epoch_score, selectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

METRICS = ("rank_1", "map")  # by which scores are audited
_CONFIDENCE = 0.95
_MIN_TRIALS = 4  # the standard error of the interval, 1 / sqrt(n - 3), needs that many


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of a score with a true metric, and its 95 % interval."""

    spearman: float
    low: float
    high: float


@dataclass(frozen=True)
class AuditRow:
    """Audit of one selection score.

    `picked` is None and `correlation` empty in the row "random". A correlation is None with fewer than 4 trials or if
    all values are equal.
    """

    select: str
    picked: int | None
    correlation: Mapping[str, Correlation | None]  # with each of METRICS
    regret: Mapping[str, float]  # in each of METRICS, in percentage points


def audit(
    candidates: Sequence[Mapping[str, float]], true: Sequence[Mapping[str, float]], start: Mapping[str, float]
) -> list[AuditRow]:
    """One row for each score of `selectors()` that all trials have, then "random": the expectation of a random choice.

    regret = best true metric - true metric of the trial picked. The correlation is that of the true metric with
    `gckd.validators.choose.epoch_score`, by which trials are picked; collapsed trials are below all others.

    Args:
        candidates: scores of each trial at its selected epoch.
        true: METRICS of each trial, in percent, on labelled target data. This module opens no data.
        start: scores of the source model.

    Raises:
        ValueError: no trials, or not one true value per trial.
    """
    if len(candidates) != len(true) or not candidates:
        raise ValueError(f"audit: {len(candidates)} trials and {len(true)} true values; expected one per trial")
    columns = {name: [metrics[name] for metrics in true] for name in METRICS}
    rows = []
    for select in selectors():
        if select != DEFAULT and not all(select in scores for scores in candidates):
            continue  # a score of a plugin that the search did not load
        picked = choose(candidates, start, select)
        values = [epoch_score(scores, start, select) for scores in candidates]
        agreement = {name: correlation(values, column) for name, column in columns.items()}
        rows.append(AuditRow(select, picked, agreement, {name: max(c) - c[picked] for name, c in columns.items()}))
    expected = {name: max(column) - math.fsum(column) / len(column) for name, column in columns.items()}
    return [*rows, AuditRow("random", None, {}, expected)]


def correlation(x: Sequence[float], y: Sequence[float]) -> Correlation | None:
    """Rank correlation of paired values; None for fewer than 4 pairs, or if all values of x or of y are equal.

    The interval of rho is Fisher's, tanh(artanh(rho) ± 1.96 s) with s^2 = (1 + rho^2 / 2) / (n - 3) (Bonett and Wright,
    "Sample size requirements for estimating Pearson, Kendall and Spearman correlations", Psychometrika 2000). A perfect
    order enters half a step below 1 (the next value is 12 / (n^3 - n) away): with rho = 1 the interval would have no
    width, however few the trials.
    """
    n = len(x)
    if n < _MIN_TRIALS or min(x) == max(x) or min(y) == max(y):
        return None
    rho = float(spearmanr(x, y).statistic)
    largest = 1 - 6 / (n**3 - n)
    bounded = max(-largest, min(largest, rho))
    half = float(ndtri(0.5 + _CONFIDENCE / 2)) * math.sqrt((1 + bounded**2 / 2) / (n - 3))
    low, high = math.tanh(math.atanh(bounded) - half), math.tanh(math.atanh(bounded) + half)
    return Correlation(rho, min(low, rho), max(high, rho))

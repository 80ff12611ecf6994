"""Reliability of the true metrics of trials: the sampling error of a small val split limits every audit of a score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gckd.validators.audit import METRICS, correlation

if TYPE_CHECKING:
    from collections.abc import Sequence

HALVES = {name: (f"{name}_half_a", f"{name}_half_b") for name in METRICS}  # names of the same on half of the identities


@dataclass(frozen=True)
class Reliability:
    """Rank correlation of a true metric with itself, over trials.

    Attributes:
        halves: Spearman's rho between the metric on two halves of the identities.
        whole: the same for two splits of the whole size, 2 rho / (1 + rho); 0 if rho is not positive.
        limit: sqrt(whole), the correlation with the measured metric that a score without any error would have.

    Source: Spearman, "The proof and measurement of association between two things", 1904; Spearman-Brown formula, 1910.
    """

    halves: float
    whole: float
    limit: float


def reliability(halves: Sequence[tuple[float, float]]) -> Reliability | None:
    """Reliability over trials; None for fewer than 4 trials, or if all values of a half are equal.

    Args:
        halves: the metric of each trial on two halves of the identities.
    """
    if not halves:
        return None
    first, second = zip(*halves, strict=True)
    agreement = correlation(first, second)
    if agreement is None:
        return None
    rho = agreement.spearman
    whole = max(0.0, 2 * rho / (1 + rho)) if rho > -1 else 0.0
    return Reliability(rho, whole, math.sqrt(whole))

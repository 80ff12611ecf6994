"""Selection by scores: the value of an epoch, by which a sampler searches and the best candidate is chosen.

Candidates and epochs map names of `gckd.validators.SCORES` to finite values; other names are ignored. `start` holds the
scores of the source model, before adaptation.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gckd.errors import InputError, unknown_choice
from gckd.validators.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GATE = 0.5  # an epoch has collapsed if its rank_me is below this share of the source model's
DEFAULT, GATE_SCORE = "default", "rank_me"

# On street, `im` agreed with the true Rank-1 better than any other score, and its regret was 0 (LOG.md).
DEFAULT_SCORE = "im"
DEFAULT_NEEDS = frozenset({DEFAULT_SCORE, GATE_SCORE})  # scores that a choice by the default reads
_FLOOR = -10.0  # below every value without a collapse: scores are >= 0, and the default is >= log(_EPSILON) = -9.2
_EPSILON = 1e-4  # added before the logarithm, so that 0 has one


def selectors() -> tuple[str, ...]:
    """Names that `--select` accepts: the default and every score but the collapse gate, those of plugins included."""
    return (DEFAULT, *(name for name in SCORES if name != GATE_SCORE))


def collapsed(scores: Mapping[str, float], start: Mapping[str, float]) -> bool:
    """Whether the effective rank of the embeddings is below `GATE` times that of the source model."""
    return scores[GATE_SCORE] < GATE * start[GATE_SCORE]


def epoch_score(scores: Mapping[str, float], start: Mapping[str, float], select: str) -> float:
    """Value of one epoch of one seed; higher is better. The caller averages over seeds.

    A single score is its own value. "default" is log((s + e) / (s0 + e)) of `im`, where s0 is the value of the source
    model and e is 1e-4; 0 is the source model.

    A collapsed epoch has the value -10 + log(rank_me / rank_me of the source model), below every other epoch.

    Raises:
        InputError: `select` is not one of `selectors()`.
    """
    _check(select)
    if collapsed(scores, start):
        return _collapsed_value(scores, start)
    if select != DEFAULT:
        return scores[select]
    return math.log((scores[DEFAULT_SCORE] + _EPSILON) / (start[DEFAULT_SCORE] + _EPSILON))


def choose(candidates: Sequence[Mapping[str, float]], start: Mapping[str, float], select: str) -> int:
    """Index of the candidate with the highest `epoch_score`, the first of equal ones.

    If all have collapsed, it is the one with the largest rank_me.

    Raises:
        InputError: `select` is not one of `selectors()`.
        ValueError: no candidates.
    """
    values = [epoch_score(scores, start, select) for scores in candidates]
    return values.index(max(values))


def _check(select: str) -> None:
    if select not in selectors():
        raise InputError(f"--select: {unknown_choice('score', select, selectors())}")


def _collapsed_value(scores: Mapping[str, float], start: Mapping[str, float]) -> float:
    return _FLOOR + math.log(scores[GATE_SCORE] / start[GATE_SCORE])

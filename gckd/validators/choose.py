"""From scores to a choice: what a sampler is told of one epoch, and which of several candidates is taken.

Candidates and epochs are mappings from names in `gckd.validators.scores.SCORES` to finite values; other names are
ignored. `start` holds the same scores of the source model, before adaptation.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scipy.stats import rankdata

from gckd.errors import InputError
from gckd.validators.scores import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GATE = 0.5  # share of the source model's rank_me below which an epoch has collapsed
SELECTORS = ("default", *(name for name in SCORES if name != "rank_me"))

_DEFAULT = {"source_val_map": 100.0, "bnm": 1.0, "cycle": 100.0}  # what the default joins, with each one's maximum
_FLOOR = -10.0  # below every sound value: scores are >= 0, and the default's is >= log(_EPSILON) = -9.2
_EPSILON = 1e-4  # of a score's maximum: what log(score / start) has beside both, so that 0 has a logarithm


def collapsed(scores: Mapping[str, float], start: Mapping[str, float]) -> bool:
    """Whether the effective rank of the embeddings has fallen below `GATE` times that of the source model."""
    return scores["rank_me"] < GATE * start["rank_me"]


def value(scores: Mapping[str, float], start: Mapping[str, float], select: str) -> float:
    """What a sampler is told of one epoch of one seed; higher is better. The mean over seeds is the caller's.

    A single score as it is. "default": the mean over source_val_map, bnm and cycle of log((s + e) / (s0 + e)), with s0
    the source model's and e = 1e-4 of the score's maximum. It is no rank, which `choose` takes: ranks among the trials
    so far change with every trial, so that values told earlier would be out of date and two searches on one study
    would disagree. Unlike ranks, the logarithms weigh a score by how far it moves.

    A collapsed epoch has -10 + log(rank_me / that of the source model), less than any sound one.

    Raises:
        InputError: `select` is not one of `SELECTORS`.
    """
    _check(select)
    if collapsed(scores, start):
        return _below(scores, start)
    if select != "default":
        return scores[select]
    return math.fsum(_gain(scores[name], start[name], top) for name, top in _DEFAULT.items()) / len(_DEFAULT)


def merits(candidates: Sequence[Mapping[str, float]], start: Mapping[str, float], select: str) -> list[float]:
    """What `choose` compares, one a candidate: higher is better, those of different calls are not comparable.

    A single score as it is. "default": the mean rank (from 1, the worst) by source_val_map, bnm and cycle among the
    candidates that have not collapsed; ties share their mean rank. A collapsed candidate is below all others, and
    among its kind the larger rank_me is better.

    Raises:
        InputError: `select` is not one of `SELECTORS`.
    """
    _check(select)
    found = [_below(scores, start) for scores in candidates]
    sound = [i for i, scores in enumerate(candidates) if not collapsed(scores, start)]
    columns = [[candidates[i][name] for i in sound] for name in (_DEFAULT if select == "default" else (select,))]
    if select == "default":
        columns = [rankdata(column).tolist() for column in columns]
    for i, values in zip(sound, zip(*columns, strict=True), strict=True):
        found[i] = math.fsum(values) / len(columns)
    return found


def choose(candidates: Sequence[Mapping[str, float]], start: Mapping[str, float], select: str) -> int:
    """Index of the candidate of the highest merit (see `merits`), the first of several.

    If all have collapsed, that of the largest rank_me.

    Raises:
        InputError: `select` is not one of `SELECTORS`.
        ValueError: no candidates.
    """
    found = merits(candidates, start, select)
    return found.index(max(found))


def _check(select: str) -> None:
    if select not in SELECTORS:
        raise InputError(f"--select: {select!r} is not one of {', '.join(SELECTORS)}")


def _gain(score: float, start: float, top: float) -> float:
    return math.log((score + _EPSILON * top) / (start + _EPSILON * top))


def _below(scores: Mapping[str, float], start: Mapping[str, float]) -> float:
    return _FLOOR + math.log(scores["rank_me"] / start["rank_me"])

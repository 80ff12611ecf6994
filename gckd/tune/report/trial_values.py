"""Trials as points to draw and to weigh: the value each told, and no further down than it can be read."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optuna.study import StudyDirection
from optuna.trial import TrialState

from gckd.tune.study import EPOCH, TWIN
from gckd.tune.trial_table import epochs, objectives, scores_at
from gckd.validators import SELECTORS, collapsed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna import Study
    from optuna.trial import FrozenTrial

UNITS = {"seconds": "adaptation, s", "memory_gib": "peak memory, GiB"}
_SCORES = {"default": "default: mean log gain", "oracle": "true Rank-1, %"}
_COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)
_FENCE = 3.0  # interquartile ranges below the lower quartile: Tukey's "far out"
_FEWEST = 4  # values of which quartiles mean something


@dataclass(frozen=True)
class Point:
    """A trial that was not lost: COMPLETE, or PRUNED with the last value it reported."""

    trial: FrozenTrial
    value: float  # told to the sampler
    shown: float  # the same, or the fence where `value` is beyond it

    @property
    def complete(self) -> bool:
        return self.trial.state == TrialState.COMPLETE

    @property
    def beyond(self) -> bool:
        """Whether it is drawn at the edge."""
        return self.value != self.shown


def objective_label(study: Study, objective: int) -> str:
    """What the values of an objective are, with their unit where the name does not carry it."""
    name = objectives(study)[objective]
    select = str(study.user_attrs.get("select", "default"))
    return _SCORES.get(select, select) if name == "score" else UNITS.get(name, name)


def told(trial: FrozenTrial, objective: int = 0) -> float | None:
    """What the sampler knows of a trial: its value, or the last one it reported before it was stopped.

    None where it said nothing, or nothing finite.
    """
    values: list[float] | None = trial.values
    said = epochs(trial)
    if values is None and said:
        last = max(said)
        values = trial.user_attrs.get(f"values/{last}", [said[last]["value"]])  # of several objectives, or of one
    value = values[objective] if values is not None and objective < len(values) else None
    return value if value is not None and math.isfinite(value) else None


def points(study: Study, objective: int = 0) -> list[Point]:
    """The trials that ran and told a value, in order of number.

    A model that collapsed has a value far below all others (`gckd.validators.value`), next to which the differences
    between the others vanish, on a picture and in a regression forest alike. So what is worse than the fence counts as
    the fence: 3 interquartile ranges past the worse quartile of the sound trials, or the worst of them if that is
    nearer.
    """
    trials = study.get_trials(deepcopy=False, states=_COUNTED)
    ran = [trial for trial in trials if TWIN not in trial.user_attrs]
    values = [(trial, value) for trial in ran if (value := told(trial, objective)) is not None]
    sound = [value for trial, value in values if not _collapsed(study, trial, objective)]
    shown = capped(study, [value for _, value in values], sound, objective)
    return [Point(trial, value, near) for (trial, value), near in zip(values, shown, strict=True)]


def capped(
    study: Study, values: Sequence[float], sound: Sequence[float] | None = None, objective: int = 0
) -> list[float]:
    """`values` of an objective, those beyond the fence of the `sound` ones (by default of all) moved onto it."""
    sign = 1 if study.directions[objective] == StudyDirection.MAXIMIZE else -1
    fence = _fence([sign * value for value in (values if sound is None else sound)])
    return [sign * max(sign * value, fence) for value in values]


def _fence(sound: Sequence[float]) -> float:
    """3 interquartile ranges below the lower quartile, or the least value if that is nearer."""
    if len(sound) < _FEWEST:
        return min(sound, default=-math.inf)
    low, _, high = statistics.quantiles(sound, n=4, method="inclusive")
    far = low - _FENCE * (high - low) if high > low else -math.inf
    return max(min(sound), far)


def _collapsed(study: Study, trial: FrozenTrial, objective: int) -> bool:
    select, start = study.user_attrs.get("select", "default"), study.user_attrs.get("start", {})
    said = epochs(trial)
    if objectives(study)[objective] != "score" or select not in SELECTORS or not start or not said:
        return False  # it has no value of its own for a collapse
    scores = scores_at(trial, trial.user_attrs[EPOCH] if trial.state == TrialState.COMPLETE else max(said))
    return "rank_me" in scores and collapsed(scores, start)

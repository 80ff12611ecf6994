"""Values of the trials of a study, clipped for figures and for the importance of hyperparameters."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optuna.study import StudyDirection
from optuna.trial import TrialState

from gckd.tune.study import DUPLICATE_OF, EPOCH
from gckd.tune.trial_table import epochs, objectives, scores_at
from gckd.validators import collapsed, selectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna import Study
    from optuna.trial import FrozenTrial

_UNITS = {"seconds": "adaptation, s", "memory_gib": "peak memory, GiB"}
_SCORE_LABELS = {"default": "default: log gain in im", "oracle": "true Rank-1, %"}
_STATES = (TrialState.COMPLETE, TrialState.PRUNED)
_FENCE = 3.0  # interquartile ranges below the lower quartile: "far out" in Tukey's box plot
_MIN_VALUES = 4  # for quartiles


@dataclass(frozen=True)
class TrialValue:
    """Value of a COMPLETE trial, or the last intermediate value of a PRUNED trial, for one objective."""

    trial: FrozenTrial
    value: float  # as the sampler knows it
    clipped: float  # the same, or the fence if `value` is beyond it

    @property
    def complete(self) -> bool:
        return self.trial.state == TrialState.COMPLETE

    @property
    def is_clipped(self) -> bool:
        return self.value != self.clipped


def objective_label(study: Study, objective: int) -> str:
    """Axis label of an objective, with its unit."""
    name = objectives(study)[objective]
    select = str(study.user_attrs.get("select", "default"))
    return _SCORE_LABELS.get(select, select) if name == "score" else _UNITS.get(name, name)


def last_value(trial: FrozenTrial, objective: int = 0) -> float | None:
    """The value of a trial, or its last intermediate value; None if there is none, or it is not finite."""
    values: list[float] | None = trial.values
    reported = epochs(trial)
    if values is None and reported:
        last = max(reported)
        values = trial.user_attrs.get(f"values/{last}", [reported[last]["value"]])  # of several objectives, or of one
    value = values[objective] if values is not None and objective < len(values) else None
    return value if value is not None and math.isfinite(value) else None


def trial_values(study: Study, objective: int = 0) -> list[TrialValue]:
    """Values of the trials that ran and reported one, in order of number.

    A collapsed model has a value far below all others (`gckd.validators.epoch_score`), which would hide the differences
    between the others in a figure and in a regression forest. So a value beyond the fence is clipped to the fence: 3
    interquartile ranges past the worse quartile of the trials without a collapse, or the worst of them if that is
    nearer.
    """
    trials = study.get_trials(deepcopy=False, states=_STATES)
    ran = [trial for trial in trials if DUPLICATE_OF not in trial.user_attrs]
    values = [(trial, value) for trial in ran if (value := last_value(trial, objective)) is not None]
    without_collapse = [value for trial, value in values if not _collapsed(study, trial, objective)]
    clipped = clip(study, [value for _, value in values], without_collapse, objective)
    return [TrialValue(trial, value, near) for (trial, value), near in zip(values, clipped, strict=True)]


def clip(
    study: Study, values: Sequence[float], reference: Sequence[float] | None = None, objective: int = 0
) -> list[float]:
    """`values` of an objective, clipped to the fence of the `reference` values, by default of `values`."""
    sign = 1 if study.directions[objective] == StudyDirection.MAXIMIZE else -1
    fence = _fence([sign * value for value in (values if reference is None else reference)])
    return [sign * max(sign * value, fence) for value in values]


def _fence(values: Sequence[float]) -> float:
    """3 interquartile ranges below the lower quartile, or the smallest value if that is nearer."""
    if len(values) < _MIN_VALUES:
        return min(values, default=-math.inf)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    far_out = low - _FENCE * (high - low) if high > low else -math.inf
    return max(min(values), far_out)


def _collapsed(study: Study, trial: FrozenTrial, objective: int) -> bool:
    select, start = study.user_attrs.get("select", "default"), study.user_attrs.get("start", {})
    reported = epochs(trial)
    if objectives(study)[objective] != "score" or select not in selectors() or not start or not reported:
        return False  # only these scores have a value that marks a collapse
    scores = scores_at(trial, trial.user_attrs[EPOCH] if trial.state == TrialState.COMPLETE else max(reported))
    return "rank_me" in scores and collapsed(scores, start)

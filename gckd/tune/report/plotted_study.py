"""Copy of a study for Optuna's plots: clipped values, short parameter names and readable axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import optuna
from optuna.trial import TrialState, create_trial

from gckd.tune.report.trial_values import clip, trial_values
from gckd.tune.space.parse import read_parameter
from gckd.tune.trial_table import epochs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from gckd.tune.space.range_type import RangeType


class ParameterAxis(NamedTuple):
    """Axis of a hyperparameter in a figure."""

    label: str
    distribution: BaseDistribution | None  # None: the sampled one
    range: RangeType | None  # None: the space of the study does not have the path

    def value(self, sampled: Any) -> Any:
        """Position of a sampled value."""
        return self.range.axis_value(sampled) if self.range else sampled


def parameter_axes(study: Study) -> dict[str, ParameterAxis]:
    """Path -> axis, for the hyperparameters of any trial, in order of paths."""
    paths = sorted({path for trial in study.get_trials(deepcopy=False) for path in trial.params})
    space = study.user_attrs.get("space", {})
    axes = {}
    for path, name in zip(paths, short_names(paths), strict=True):
        searched = read_parameter(path, space[path]).range if path in space else None
        label, distribution = searched.axis(name) if searched else (name, None)
        axes[path] = ParameterAxis(label, distribution, searched)
    return axes


def short_names(paths: Sequence[str]) -> list[str]:
    """Last parts of paths; the whole path where two have the same last part."""
    ends = [path.rpartition(".")[2] for path in paths]
    return [path if ends.count(end) > 1 else end for path, end in zip(paths, ends, strict=True)]


def plotted_study(study: Study, objectives: Sequence[int] = (0,), *, pruned: bool = True) -> Study:
    """A copy in memory with the same trial numbers and only some of the objectives.

    Optuna's plots show COMPLETE trials alone. In the copy, a trial with a value is COMPLETE; every other one is FAIL.

    Args:
        pruned: whether a PRUNED trial counts as COMPLETE, with the last value that it reported.
    """
    by_number: dict[int, list[float]] = {}
    for objective in objectives:
        for entry in trial_values(study, objective):
            if entry.complete or pruned:
                by_number.setdefault(entry.trial.number, []).append(entry.clipped)
    copy = optuna.create_study(directions=[study.directions[objective] for objective in objectives])
    axes = parameter_axes(study)
    curves = _clipped_curves(study) if tuple(objectives) == (0,) else {}
    for trial in study.get_trials(deepcopy=False):
        values = by_number.get(trial.number, [])
        if len(values) == len(objectives):
            copy.add_trial(_plotted_trial(trial, values, axes, curves.get(trial.number, {})))
        else:
            copy.add_trial(create_trial(state=TrialState.FAIL))
    return copy


def _plotted_trial(
    trial: FrozenTrial, values: Sequence[float], axes: dict[str, ParameterAxis], curve: dict[int, float]
) -> FrozenTrial:
    return create_trial(
        params={axes[path].label: axes[path].value(sampled) for path, sampled in trial.params.items()},
        distributions={axes[path].label: axes[path].distribution or d for path, d in trial.distributions.items()},
        values=list(values),
        intermediate_values=curve,
    )


def _clipped_curves(study: Study) -> dict[int, dict[int, float]]:
    """Trial number -> epoch -> value, clipped to the fence of the trials whose own value is not clipped."""
    values = trial_values(study)
    curves = {v.trial.number: {epoch: result["value"] for epoch, result in epochs(v.trial).items()} for v in values}
    reference = [value for v in values if not v.is_clipped for value in curves[v.trial.number].values()]
    clipped = iter(clip(study, [value for curve in curves.values() for value in curve.values()], reference))
    return {number: dict(zip(curve, clipped, strict=False)) for number, curve in curves.items()}

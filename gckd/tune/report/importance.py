"""Which hyperparameters mattered, by fANOVA and PED-ANOVA, over all trials that said something."""

from __future__ import annotations

import math
import random
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from gckd.tune.report.trial_values import Point, points

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna import Study
    from optuna.importance import BaseImportanceEvaluator
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial

FEWEST = 8  # trials; PED-ANOVA compares the best tenth with all, fANOVA fits a forest
MOST = 256  # trials that fANOVA looks at: its time grows with their square, a minute of a core at a thousand


@dataclass(frozen=True)
class Importance:
    """Shares that sum to 1 over the hyperparameters; a method that has nothing to say has none."""

    fanova: Mapping[str, float]
    ped_anova: Mapping[str, float]
    complete: int  # trials
    pruned: int


def importance(study: Study, objective: int = 0) -> Importance:
    """Importance of each hyperparameter for one objective.

    Optuna's evaluators look at COMPLETE trials alone, the survivors of the scheduler. Here a PRUNED trial counts with
    the last value it reported, and no value beyond the fence of `points`.

    fANOVA (Hutter et al., ICML 2014) leaves out hyperparameters that only some of the trials have; PED-ANOVA (Watanabe
    et al., IJCAI 2023; conditional: KDD 2026) has them too. Both measure on the scale that was sampled: Optuna's fANOVA
    would weigh a log-uniform range by its raw length, which is nearly all in the last decade.

    Below `FEWEST` trials both are empty, and so is a method for which no hyperparameter made a difference. Of more than
    `MOST` trials, fANOVA looks at so many of them, drawn at random.
    """
    found = points(study, objective)
    drawn = random.Random(0).sample(found, MOST) if len(found) > MOST else found
    direction = study.directions[objective]
    complete, enough = sum(point.complete for point in found), len(found) >= FEWEST
    return Importance(
        fanova=_shares(_view(drawn, direction), FanovaImportanceEvaluator(seed=0)) if enough else {},
        ped_anova=_shares(_view(found, direction), PedAnovaImportanceEvaluator()) if enough else {},
        complete=complete,
        pruned=len(found) - complete,
    )


def _view(found: Sequence[Point], direction: StudyDirection) -> Study:
    view = optuna.create_study(direction=direction)
    view.add_trials([_counted(point) for point in found])
    return view


def _counted(point: Point) -> FrozenTrial:
    """A COMPLETE trial for the evaluators."""
    trial = point.trial
    scaled = {name: _linear(trial.params[name], of) for name, of in trial.distributions.items()}
    return create_trial(
        params={name: value for name, (value, _) in scaled.items()},
        distributions={name: of for name, (_, of) in scaled.items()},
        value=point.shown,
    )


def _linear(value: Any, of: BaseDistribution) -> tuple[Any, BaseDistribution]:
    """A value and its distribution on the scale that was sampled: the logarithm's, where that was."""
    if isinstance(of, (FloatDistribution, IntDistribution)) and of.log:
        low, high = math.log(of.low), math.log(of.high)
        return min(max(math.log(value), low), high), FloatDistribution(low, high)
    return value, of


def _shares(view: Study, evaluator: BaseImportanceEvaluator) -> dict[str, float]:
    """By importance, the largest first. Optuna's own normalisation makes equal shares of "nothing found"."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of normalize
        warnings.simplefilter("ignore", UserWarning)  # "too few trials": an empty answer says it
        try:
            raw = get_param_importances(view, evaluator=evaluator, normalize=False)
        except RuntimeError:  # fANOVA's, of trials that differ in nothing it can split by
            return {}
    total = math.fsum(raw.values())
    if not total > 0:
        return {}
    return {name: float(raw[name]) / total for name in sorted(raw, key=lambda name: (-raw[name], name))}

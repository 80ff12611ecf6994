"""Importance of the hyperparameters by fANOVA and PED-ANOVA, over all trials with a value."""

from __future__ import annotations

import math
import random
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from gckd.report.bootstrap import Interval
from gckd.tune.report.trial_values import TrialValue, trial_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna import Study
    from optuna.importance import BaseImportanceEvaluator
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial

MIN_TRIALS = 8  # PED-ANOVA compares the best tenth with all trials, fANOVA fits a random forest
RESAMPLES = 30  # of the bootstrap intervals
_RESAMPLED_TRIALS, _TREES = 64, 16
FANOVA_TRIALS = 256  # at most: its time grows with their square, to a minute on one core at a thousand trials


@dataclass(frozen=True)
class Importance:
    """Shares of importance by path, which sum to 1, largest first; empty if a method finds no difference.

    intervals: 90 % bootstrap intervals of the shares by fANOVA.
    """

    fanova: Mapping[str, float]
    intervals: Mapping[str, Interval]
    ped_anova: Mapping[str, float]
    complete: int  # trials
    pruned: int


def importance(study: Study, objective: int = 0) -> Importance:
    """Importance of each hyperparameter for one objective.

    Optuna's evaluators use COMPLETE trials alone, the survivors of the scheduler. Here a PRUNED trial counts with its
    last value, and values are clipped as in `trial_values`.

    fANOVA (Hutter et al., ICML 2014) leaves out hyperparameters that only some of the trials have; PED-ANOVA (Watanabe
    et al., IJCAI 2023; conditional: KDD 2026) includes them. Both measure on the sampled scale: Optuna's fANOVA would
    weigh a log-uniform range by its raw length, nearly all of which is in the last decade.

    With fewer than `MIN_TRIALS` trials both are empty. fANOVA uses at most `FANOVA_TRIALS` trials, a random sample.
    fANOVA comes first: with 16 trials, the best tenth that PED-ANOVA describes is two trials.
    """
    values = trial_values(study, objective)
    sample = random.Random(0).sample(values, FANOVA_TRIALS) if len(values) > FANOVA_TRIALS else values
    direction = study.directions[objective]
    complete, enough = sum(value.complete for value in values), len(values) >= MIN_TRIALS
    fanova = _shares(_linear_study(sample, direction), FanovaImportanceEvaluator(seed=0)) if enough else {}
    return Importance(
        fanova=fanova,
        intervals=_intervals(values, direction) if fanova else {},
        ped_anova=_shares(_linear_study(values, direction), PedAnovaImportanceEvaluator()) if enough else {},
        complete=complete,
        pruned=len(values) - complete,
    )


def _intervals(values: Sequence[TrialValue], direction: StudyDirection) -> dict[str, Interval]:
    """Interval of each share over `RESAMPLES` resamples of at most `_RESAMPLED_TRIALS` trials with replacement.

    The forests are smaller than that of the shares, for speed. With more trials than that the intervals are too wide.
    """
    draw, shares = random.Random(1), dict[str, list[float]]()
    for _ in range(RESAMPLES):
        resample = draw.choices(values, k=min(len(values), _RESAMPLED_TRIALS))
        evaluator = FanovaImportanceEvaluator(n_trees=_TREES, seed=0)
        for path, share in _shares(_linear_study(resample, direction), evaluator).items():
            shares.setdefault(path, []).append(share)
    ends = {path: np.percentile(drawn, [5, 95]) for path, drawn in shares.items()}
    return {path: Interval(float(low), float(high)) for path, (low, high) in ends.items()}


def _linear_study(values: Sequence[TrialValue], direction: StudyDirection) -> Study:
    """A study of COMPLETE trials with these values, whose parameters are on linear scales."""
    copy = optuna.create_study(direction=direction)
    copy.add_trials([_linear_trial(value) for value in values])
    return copy


def _linear_trial(value: TrialValue) -> FrozenTrial:
    trial = value.trial
    scaled = {name: _linear(trial.params[name], sampled) for name, sampled in trial.distributions.items()}
    return create_trial(
        params={name: param for name, (param, _) in scaled.items()},
        distributions={name: distribution for name, (_, distribution) in scaled.items()},
        value=value.clipped,
    )


def _linear(param: Any, sampled: BaseDistribution) -> tuple[Any, BaseDistribution]:
    """A parameter and its distribution; their logarithms if the distribution is log-uniform."""
    if isinstance(sampled, (FloatDistribution, IntDistribution)) and sampled.log:
        low, high = math.log(sampled.low), math.log(sampled.high)
        return min(max(math.log(param), low), high), FloatDistribution(low, high)
    return param, sampled


def _shares(study: Study, evaluator: BaseImportanceEvaluator) -> dict[str, float]:
    """Shares, largest first; empty if no parameter has any importance, where Optuna would give equal shares."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # about the argument normalize
        warnings.simplefilter("ignore", UserWarning)  # about too few trials, for which the result is empty
        try:
            raw = get_param_importances(study, evaluator=evaluator, normalize=False)
        except RuntimeError:  # fANOVA: the trials have equal parameters
            return {}
    total = math.fsum(raw.values())
    if not total > 0:
        return {}
    return {name: float(raw[name]) / total for name in sorted(raw, key=lambda name: (-raw[name], name))}

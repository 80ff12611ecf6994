"""Importance of hyperparameters, and the clipped values that it is computed from."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from optuna import Study
from optuna.distributions import FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from gckd.tune.report.importance import MIN_TRIALS, importance
from gckd.tune.report.trial_values import trial_values
from gckd.tune.study import DUPLICATE_OF
from tests.tune.studies import add, make_study, scores

DELTA, M = "distill.matching.delta", "distill.teacher.m"


def stopped_by_delta() -> Study:
    """Trials with a large delta were stopped with a bad value; of the others, those with a large m are better."""
    study, draws = make_study(), np.random.default_rng(0)
    for number in range(60):
        delta, m = float(draws.uniform(0, 1)), float(10 ** draws.uniform(-4, -1))
        if number % 4:
            add(study, "PRUNED", [-3 - delta], {DELTA: 0.4 + 0.5 * delta, M: m})
        else:
            add(study, "COMPLETE", [0.1 * (m > 10**-2.5)], {DELTA: 0.3 + 0.1 * delta, M: m})
    return study


def test_pruned_trials_count() -> None:
    study = stopped_by_delta()
    shares = importance(study)
    assert (shares.complete, shares.pruned) == (15, 45)
    evaluators = (FanovaImportanceEvaluator(seed=0), PedAnovaImportanceEvaluator())
    for evaluator, by_path in zip(evaluators, (shares.fanova, shares.ped_anova), strict=True):
        assert next(iter(get_param_importances(study, evaluator=evaluator))) == M  # of the survivors alone
        assert next(iter(by_path)) == DELTA
        assert math.fsum(by_path.values()) == pytest.approx(1)


def test_the_interval_of_a_share_is_that_of_resampled_trials() -> None:
    """Noise alone decides the order of two hyperparameters without effect; a strong one is above both."""
    study, draws = make_study(), np.random.default_rng(3)
    for _ in range(24):
        delta, m = float(draws.uniform(0.3, 0.95)), float(10 ** draws.uniform(-4, -1))
        add(study, "COMPLETE", [delta + 0.01 * float(draws.normal())], {DELTA: delta, M: m})
    shares = importance(study)
    assert set(shares.intervals) == {DELTA, M}
    assert shares.intervals[M].high < shares.intervals[DELTA].low
    for path, share in shares.fanova.items():
        low, high = shares.intervals[path]
        assert 0 <= low <= high <= 1 and low - 0.05 <= share <= high + 0.05
    assert importance(study).intervals == shares.intervals


def test_importance_equals_that_of_complete_trials_on_linear_scales() -> None:
    by_hand = optuna.create_study(direction="maximize")
    ranges = {DELTA: FloatDistribution(0.3, 0.95), M: FloatDistribution(math.log(1e-4), math.log(1e-1))}
    for trial in stopped_by_delta().trials:
        params = {DELTA: trial.params[DELTA], M: math.log(trial.params[M])}
        value = trial.intermediate_values[1]
        by_hand.add_trial(create_trial(params=params, distributions=ranges, value=value))
    shares = importance(stopped_by_delta())
    assert shares.fanova == pytest.approx(get_param_importances(by_hand, evaluator=FanovaImportanceEvaluator(seed=0)))
    assert shares.ped_anova == pytest.approx(get_param_importances(by_hand, evaluator=PedAnovaImportanceEvaluator()))


def test_fanova_measures_a_log_uniform_range_on_its_logarithm() -> None:
    """The first of three decades of m matters most; on the raw scale it is 1 % of the range."""
    study, draws = make_study(), np.random.default_rng(1)
    for _ in range(60):
        delta, m = float(draws.uniform(0.3, 0.95)), float(10 ** draws.uniform(-4, -1))
        add(study, "COMPLETE", [float(m < 1e-3) + 0.7 * delta], {DELTA: delta, M: m})
    assert importance(study).fanova[M] > 0.9
    assert get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))[M] < 0.5


@pytest.mark.parametrize(("trials", "slope"), [(MIN_TRIALS - 1, 1.0), (20, 0.0), (0, 1.0)])
def test_importance_is_empty_without_differences_or_with_few_trials(trials: int, slope: float) -> None:
    study = make_study()
    for number in range(trials):
        add(study, "COMPLETE", [slope * number], {DELTA: 0.3 + 0.03 * number})
    shares = importance(study)
    assert (shares.fanova, shares.ped_anova, shares.complete) == ({}, {}, trials)


def test_fanova_leaves_out_conditional_paths_and_ped_anova_does_not() -> None:
    study = make_study()
    for number in range(30):
        kind = "gnn" if number % 3 else "none"
        k = {"graph.propagate.k": 2 + number} if kind == "gnn" else {}
        add(study, "COMPLETE", [float(number)], {"graph.propagate": kind, DELTA: 0.3 + 0.01 * (number % 7), **k})
    shares = importance(study)
    assert set(shares.fanova) == {"graph.propagate", DELTA}
    assert set(shares.ped_anova) == {"graph.propagate", DELTA, "graph.propagate.k"}


def test_each_objective_has_its_own_importance() -> None:
    study = make_study(directions=["maximize", "minimize"], objectives=["score", "seconds"])
    draws = np.random.default_rng(2)
    for _ in range(40):
        delta, m = float(draws.uniform(0.3, 0.95)), float(10 ** draws.uniform(-4, -1))
        add(study, "COMPLETE", [delta], {DELTA: delta, M: m}, several=[delta, math.log(m)])
    assert [next(iter(importance(study, place).fanova)) for place in (0, 1)] == [DELTA, M]


def test_a_collapsed_trial_is_clipped_to_the_worst_other_value() -> None:
    study = make_study()
    for value in (1.0, 2.0, 3.0, 4.0, 5.0):
        add(study, "COMPLETE", [value], epoch_scores=[scores()])
    add(study, "COMPLETE", [-12.0], epoch_scores=[scores(rank_me=2.0)])
    values = trial_values(study)
    assert [value.clipped for value in values] == [1.0, 2.0, 3.0, 4.0, 5.0, 1.0]
    assert [value.is_clipped for value in values] == [False] * 5 + [True]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_fence_is_three_interquartile_ranges_past_the_worse_quartile(sign: int) -> None:
    way = "maximize" if sign > 0 else "minimize"
    study = make_study(directions=[way], objectives=["seconds"])
    for value in (10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, -50.0, 60.0):
        add(study, "COMPLETE", [sign * value])
    # Quartiles of the nine: 11 and 15; 11 - 3 x 4 = -1. What is far better stays.
    assert [sign * value.clipped for value in trial_values(study)][-2:] == [-1.0, 60.0]


def test_failed_trials_and_duplicates_have_no_value() -> None:
    study = make_study()
    add(study, "FAIL", [1.0])
    add(study, "COMPLETE", [], several=[1.0], **{DUPLICATE_OF: 0})
    add(study, "PRUNED", [2.0, 3.0])
    assert [(value.trial.number, value.value, value.complete) for value in trial_values(study)] == [(2, 3.0, False)]

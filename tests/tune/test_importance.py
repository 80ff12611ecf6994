"""Importance over all trials that said something, and the values it is computed from."""

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
from tests.tune.studies import add, scores, study

DELTA, M = "distill.matching.delta", "distill.teacher.m"


def stopped_by_delta() -> Study:
    """Whatever had a large delta was stopped with a bad value; of the rest, those with a large m are better."""
    made, draws = study(), np.random.default_rng(0)
    for number in range(60):
        delta, m = float(draws.uniform(0, 1)), float(10 ** draws.uniform(-4, -1))
        if number % 4:
            add(made, "PRUNED", [-3 - delta], {DELTA: 0.4 + 0.5 * delta, M: m})
        else:
            add(made, "COMPLETE", [0.1 * (m > 10**-2.5)], {DELTA: 0.3 + 0.1 * delta, M: m})
    return made


def test_pruned_trials_count() -> None:
    made = stopped_by_delta()
    found = importance(made)
    assert (found.complete, found.pruned) == (15, 45)
    evaluators = (FanovaImportanceEvaluator(seed=0), PedAnovaImportanceEvaluator())
    for evaluator, shares in zip(evaluators, (found.fanova, found.ped_anova), strict=True):
        assert next(iter(get_param_importances(made, evaluator=evaluator))) == M  # of the survivors alone
        assert next(iter(shares)) == DELTA
        assert math.fsum(shares.values()) == pytest.approx(1)


def test_it_is_that_of_a_study_in_which_all_are_complete_and_scales_are_linear() -> None:
    by_hand = optuna.create_study(direction="maximize")
    ranges = {DELTA: FloatDistribution(0.3, 0.95), M: FloatDistribution(math.log(1e-4), math.log(1e-1))}
    for trial in stopped_by_delta().trials:
        params = {DELTA: trial.params[DELTA], M: math.log(trial.params[M])}
        value = trial.intermediate_values[1]
        by_hand.add_trial(create_trial(params=params, distributions=ranges, value=value))
    found = importance(stopped_by_delta())
    assert found.fanova == pytest.approx(get_param_importances(by_hand, evaluator=FanovaImportanceEvaluator(seed=0)))
    assert found.ped_anova == pytest.approx(get_param_importances(by_hand, evaluator=PedAnovaImportanceEvaluator()))


def test_fanova_weighs_a_logarithmic_range_as_it_was_sampled() -> None:
    """Whether m is in its first of three decades decides most; on the raw scale that is 1 % of its range."""
    made, draws = study(), np.random.default_rng(1)
    for _ in range(60):
        delta, m = float(draws.uniform(0.3, 0.95)), float(10 ** draws.uniform(-4, -1))
        add(made, "COMPLETE", [float(m < 1e-3) + 0.7 * delta], {DELTA: delta, M: m})
    assert importance(made).fanova[M] > 0.9
    assert get_param_importances(made, evaluator=FanovaImportanceEvaluator(seed=0))[M] < 0.5


@pytest.mark.parametrize(("trials", "slope"), [(MIN_TRIALS - 1, 1.0), (20, 0.0), (0, 1.0)])
def test_nothing_to_say(trials: int, slope: float) -> None:
    made = study()
    for number in range(trials):
        add(made, "COMPLETE", [slope * number], {DELTA: 0.3 + 0.03 * number})
    found = importance(made)
    assert (found.fanova, found.ped_anova, found.complete) == ({}, {}, trials)


def test_a_condition_keeps_a_path_from_fanova_alone() -> None:
    made = study()
    for number in range(30):
        kind = "gnn" if number % 3 else "none"
        k = {"graph.propagate.k": 2 + number} if kind == "gnn" else {}
        add(made, "COMPLETE", [float(number)], {"graph.propagate": kind, DELTA: 0.3 + 0.01 * (number % 7), **k})
    found = importance(made)
    assert set(found.fanova) == {"graph.propagate", DELTA}
    assert set(found.ped_anova) == {"graph.propagate", DELTA, "graph.propagate.k"}


def test_the_second_objective_has_an_importance_of_its_own() -> None:
    made = study(directions=["maximize", "minimize"], objectives=["score", "seconds"])
    draws = np.random.default_rng(2)
    for _ in range(40):
        delta, m = float(draws.uniform(0.3, 0.95)), float(10 ** draws.uniform(-4, -1))
        add(made, "COMPLETE", [delta], {DELTA: delta, M: m}, several=[delta, math.log(m)])
    assert [next(iter(importance(made, place).fanova)) for place in (0, 1)] == [DELTA, M]


def test_a_collapse_counts_as_the_worst_of_the_sound() -> None:
    made = study()
    for value in (1.0, 2.0, 3.0, 4.0, 5.0):
        add(made, "COMPLETE", [value], said=[scores()])
    add(made, "COMPLETE", [-12.0], said=[scores(rank_me=2.0)])
    found = trial_values(made)
    assert [point.clipped for point in found] == [1.0, 2.0, 3.0, 4.0, 5.0, 1.0]
    assert [point.is_clipped for point in found] == [False] * 5 + [True]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_fence_is_three_interquartile_ranges_past_the_worse_quartile(sign: int) -> None:
    way = "maximize" if sign > 0 else "minimize"
    made = study(directions=[way], objectives=["seconds"])
    for value in (10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, -50.0, 60.0):
        add(made, "COMPLETE", [sign * value])
    # Quartiles of the nine: 11 and 15; 11 - 3 x 4 = -1. What is far better stays.
    assert [sign * point.clipped for point in trial_values(made)][-2:] == [-1.0, 60.0]


def test_failed_trials_and_twins_are_no_trial_values() -> None:
    made = study()
    add(made, "FAIL", [1.0])
    add(made, "COMPLETE", [], several=[1.0], duplicate_of=0)
    add(made, "PRUNED", [2.0, 3.0])
    assert [(point.trial.number, point.value, point.complete) for point in trial_values(made)] == [(2, 3.0, False)]

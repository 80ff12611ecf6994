"""ASHA over all trials of the study, also those of an earlier driver or of another search."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from optuna import Study
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial
from ray.tune.schedulers import TrialScheduler

from gckd.tune.plan import REDUCTION
from gckd.tune.scheduler import StudyAsha, make_scheduler

EPOCHS = 9


class FakeTrial:
    """The part of Tune's trial that a bracket reads."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


def study_with(values: list[list[float]], state: TrialState = TrialState.PRUNED) -> Study:
    """One trial per list of values; the epochs start at 1."""
    study = optuna.create_study(direction="maximize")
    for curve in values:
        attrs = {f"epoch/{epoch}": {"value": value, "seconds": 1.0} for epoch, value in enumerate(curve, 1)}
        study.add_trial(
            create_trial(
                state=state,
                params={"x": 0.5},
                distributions={"x": FloatDistribution(0, 1)},
                user_attrs=attrs,
                intermediate_values=dict(enumerate(curve, 1)),
            )
        )
    return study


def decision(study: Study, mode: str, epoch: int, value: float) -> str:
    scheduler = StudyAsha(study, "score", mode, EPOCHS)
    sign = 1 if mode == "max" else -1
    return scheduler._brackets[0].on_result(FakeTrial("new"), epoch, sign * value)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("value", np.linspace(-1.0, 6.0, 8).tolist())
def test_a_new_trial_is_compared_with_the_study(mode: str, value: float) -> None:
    """It continues if it is in the better half at the rung, computed by hand."""
    before = [0.0, 1.0, 2.0, 3.0, 4.0]
    decided = decision(study_with([[v] for v in before]), mode, 1, value)
    signed = sorted((v if mode == "max" else -v) for v in before)
    position = (1 - 1 / REDUCTION) * (len(signed) - 1)
    low, high = signed[math.floor(position)], signed[math.ceil(position)]
    cutoff = low + (high - low) * (position - math.floor(position))
    continues = (value if mode == "max" else -value) >= cutoff
    assert decided == (TrialScheduler.CONTINUE if continues else TrialScheduler.STOP)


def test_an_empty_rung_would_let_the_worst_trial_continue() -> None:
    """This is what Ray's scheduler does after a resume."""
    empty, filled = optuna.create_study(direction="maximize"), study_with([[1.0], [2.0], [3.0]])
    assert decision(empty, "max", 1, -5.0) == TrialScheduler.CONTINUE
    assert decision(filled, "max", 1, -5.0) == TrialScheduler.STOP


def test_a_resumed_trial_is_not_compared_with_its_own_record() -> None:
    """It reports its epochs again, so its own record would compete with it."""
    left = study_with([[1.0], [9.0]], TrialState.RUNNING)
    assert decision(left, "max", 1, 1.0) == TrialScheduler.CONTINUE


def test_a_trial_continues_between_rungs() -> None:
    assert decision(study_with([[9.0, 9.0]]), "max", 3, -5.0) == TrialScheduler.STOP  # compared at rung 2
    scheduler = StudyAsha(study_with([[9.0, 9.0, 9.0]]), "score", "max", EPOCHS)
    new = FakeTrial("new")
    bracket = scheduler._brackets[0]
    for rung in (1, 2):
        assert bracket.on_result(new, rung, 10.0) == TrialScheduler.CONTINUE  # type: ignore[arg-type]
    assert bracket.on_result(new, 3, -5.0) == TrialScheduler.CONTINUE  # type: ignore[arg-type]


def test_none_stops_no_trial() -> None:
    scheduler = make_scheduler("none", study_with([[1.0]]), "score", "max", EPOCHS)
    assert not isinstance(scheduler, StudyAsha)

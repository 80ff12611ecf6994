"""ASHA over all trials of the study: rungs that an earlier driver filled, or another search, are not forgotten."""

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
    """What a bracket reads of Tune's trial."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


def study_with(values: list[list[float]], state: TrialState = TrialState.PRUNED) -> Study:
    """A trial a list; its values by epoch, from 1."""
    study = optuna.create_study(direction="maximize")
    for told in values:
        attrs = {f"epoch/{epoch}": {"value": value, "seconds": 1.0} for epoch, value in enumerate(told, 1)}
        study.add_trial(
            create_trial(
                state=state,
                params={"x": 0.5},
                distributions={"x": FloatDistribution(0, 1)},
                user_attrs=attrs,
                intermediate_values=dict(enumerate(told, 1)),
            )
        )
    return study


def decision(study: Study, mode: str, epoch: int, value: float) -> str:
    scheduler = StudyAsha(study, "score", mode, EPOCHS)
    sign = 1 if mode == "max" else -1
    return scheduler._brackets[0].on_result(FakeTrial("new"), epoch, sign * value)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("value", np.linspace(-1.0, 6.0, 8).tolist())
def test_a_new_trial_is_held_against_the_study(mode: str, value: float) -> None:
    """It goes on if it is in the best half of those that reached the rung, counted by hand."""
    before = [0.0, 1.0, 2.0, 3.0, 4.0]
    found = decision(study_with([[v] for v in before]), mode, 1, value)
    signed = sorted((v if mode == "max" else -v) for v in before)
    place = (1 - 1 / REDUCTION) * (len(signed) - 1)
    low, high = signed[math.floor(place)], signed[math.ceil(place)]
    cutoff = low + (high - low) * (place - math.floor(place))
    goes_on = (value if mode == "max" else -value) >= cutoff
    assert found == (TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)


def test_rays_own_lets_the_first_trial_after_a_resume_pass() -> None:
    """The trap: without the study the worst trial would go on."""
    empty, held = optuna.create_study(direction="maximize"), study_with([[1.0], [2.0], [3.0]])
    assert decision(empty, "max", 1, -5.0) == TrialScheduler.CONTINUE
    assert decision(held, "max", 1, -5.0) == TrialScheduler.STOP


def test_a_trial_is_not_held_against_itself() -> None:
    """One that a dead driver left tells its epochs again; its own record would be a rival of the same value."""
    left = study_with([[1.0], [9.0]], TrialState.RUNNING)
    assert decision(left, "max", 1, 1.0) == TrialScheduler.CONTINUE


def test_between_rungs_nothing_is_decided() -> None:
    assert decision(study_with([[9.0, 9.0]]), "max", 3, -5.0) == TrialScheduler.STOP  # held against the rung at 2
    scheduler = StudyAsha(study_with([[9.0, 9.0, 9.0]]), "score", "max", EPOCHS)
    new = FakeTrial("new")
    bracket = scheduler._brackets[0]
    for rung in (1, 2):
        assert bracket.on_result(new, rung, 10.0) == TrialScheduler.CONTINUE  # type: ignore[arg-type]
    assert bracket.on_result(new, 3, -5.0) == TrialScheduler.CONTINUE  # type: ignore[arg-type]


def test_none_stops_nothing() -> None:
    scheduler = make_scheduler("none", study_with([[1.0]]), "score", "max", EPOCHS)
    assert not isinstance(scheduler, StudyAsha)

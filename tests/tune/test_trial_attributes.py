"""Attributes of trials that another program has written are refused in one line."""

from __future__ import annotations

import json
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from gckd.errors import InputError
from gckd.tune.trial_attributes import check_trial

VALID: dict[str, Any] = {
    "edits": {"distill.teacher.m": 0.9, "graph.propagate": {"kind": "gnn"}},
    "epoch": 2,
    "seconds": 3.5,
    "memory_gib": 1,
    "owner": "a",
    "folder": "runs/0",
    "seeds": [0, 1],
    "refused": False,
    "epoch/1": {"score": None, "seconds": 1.0, "value": 0.5},
    "epoch/2": {"score": 0.5, "seconds": 2.0, "value": 0.5},
    "values/2": [0.5, 0.25],
    "note of a dashboard": ["anything"],
}


NESTED = json.loads("[" * 40 + "]" * 40)


def trial_with(attrs: dict[str, Any], state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    study = optuna.create_study()
    study.add_trial(create_trial(state=state, value=1.0 if state == TrialState.COMPLETE else None, user_attrs=attrs))
    return study.trials[0]


def test_attributes_of_a_search_are_accepted() -> None:
    check_trial(trial_with(VALID), "s", 1)
    check_trial(trial_with({}, TrialState.WAITING), "s", 1)
    check_trial(trial_with({"owner": "a"}, TrialState.RUNNING), "s", 1)
    check_trial(trial_with({"reason": "out of memory", "refused": True}, TrialState.FAIL), "s", 1)
    check_trial(trial_with({"edits": {}, "twin": 0}), "s", 1)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"edits": [1]}, "'edits' is [1], not a mapping of config paths to values"),
        ({"edits": {"graph.k": 2**60}}, f"'edits' is {{'graph.k': {2**60}}}, not a mapping of config paths to values"),
        ({"epoch": 2**60}, f"'epoch' is {2**60}, not an integer"),
        ({"note of a dashboard": NESTED}, "'note of a dashboard' has more than 32 levels of lists"),
        ({"seconds": "3"}, "'seconds' is '3', not a number"),
        ({"seeds": [True]}, "'seeds' is [True], not a list of integers"),
        ({"refused": 1}, "'refused' is 1, not true or false"),
        ({"epoch/2": {"score": "high"}}, "'epoch/2' is {'score': 'high'}, not a mapping of scores"),
        ({"epoch/two": {}}, "'epoch/two' is {}, not a mapping of scores"),
        ({"values/2": 0.5}, "'values/2' is 0.5, not a list of numbers"),
        ({"epoch": 3}, "its epoch 3 has no result"),
        ({"epoch": None}, "its epoch None has no result"),
    ],
)
def test_other_attributes_are_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        check_trial(trial_with(VALID | change), "s", 1)
    remedy = "another program changed the study, so choose another one"
    assert str(caught.value) == f"--study: 's', trial 0: {problem}; {remedy}"


@pytest.mark.parametrize("objectives", [2, 3])
def test_another_number_of_values_than_objectives_is_refused(objectives: int) -> None:
    with pytest.raises(InputError, match=f"trial 0: it has 1 values for {objectives} objectives; another program"):
        check_trial(trial_with(VALID), "s", objectives)

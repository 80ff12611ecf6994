"""Averages of the source model's weights and the student's, which are evaluated with `adapt.source_share`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gckd.ablations.reference_rows import supervised_edits
from gckd.config import Config, apply
from gckd.method.weight_average import WeightAverage
from gckd.storage.checkpoint import load_checkpoint
from gckd.storage.path import StoragePath
from gckd.training import run
from gckd.training.adapt import prepare_adaptation
from gckd.training.load import load_student
from gckd.training.monitor import Monitor
from gckd.training.run import train_run
from gckd.training.search_trial import trial_evaluations
from tests.training.micro import Interruption, differences, stop_at, trained

SHARE = 0.3


@pytest.fixture
def averaged(config: Config) -> Config:
    return apply(config, {"adapt.source_share": SHARE})


class Tied(nn.Module):
    """Layers with a shared weight, a buffer and a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("count", torch.tensor(1))


def by_hand(start: dict[str, Tensor], own: dict[str, Tensor], share: float = SHARE) -> dict[str, Tensor]:
    """Average of two state dicts in float64, entry by entry; counters are the second one's."""
    return {
        name: share * start[name].double() + (1 - share) * value.double() if value.is_floating_point() else value
        for name, value in own.items()
    }


def assert_equal(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, value in actual.items():
        torch.testing.assert_close(value.double(), expected[name].double(), atol=1e-6, rtol=1e-6, msg=name)


def test_weights_are_averaged_within_the_context_alone() -> None:
    student = Tied()
    average, start = WeightAverage(student, SHARE), copy.deepcopy(student.state_dict())
    with torch.no_grad():
        for tensor in student.state_dict().values():
            tensor += 1
    own = copy.deepcopy(student.state_dict())
    with average.applied(student):
        assert_equal(student.state_dict(), by_hand(start, own))
        assert student.second.weight is student.first.weight
    assert all(torch.equal(value, own[name]) for name, value in student.state_dict().items())
    with pytest.raises(ZeroDivisionError), average.applied(student):
        raise ZeroDivisionError
    assert all(torch.equal(value, own[name]) for name, value in student.state_dict().items())
    assert not any(parameter.requires_grad for parameter in average.parameters())


def test_training_is_that_without_an_average(
    averaged: Config, config: Config, cache: Path, tmp_path: Path, finished: Callable[[Config], dict[str, Any]]
) -> None:
    checkpoint = trained(averaged, cache, tmp_path)["modules"]
    average = checkpoint.pop("average")
    assert differences(checkpoint, finished(config)["modules"]) == []
    source = prepare_adaptation(config, cache, lambda progress: None).parts.student.state_dict()
    assert differences({name.removeprefix("start."): value for name, value in average.items()}, dict(source)) == []


def test_every_evaluation_is_of_the_average(
    averaged: Config, config: Config, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = {}
    evaluate = run.evaluate_student

    def spy(student: Any, split: str) -> Any:
        evaluated.update(copy.deepcopy(student.backbone.state_dict()))
        return evaluate(student, split)

    monkeypatch.setattr(run, "evaluate_student", spy)
    result = train_run(averaged, cache=cache, out=tmp_path / "run")
    modules = load_checkpoint(tmp_path / "run" / "checkpoint.pt")["modules"]
    start = prepare_adaptation(config, cache, lambda progress: None).parts.student.state_dict()
    expected = by_hand(start, modules["student"])
    assert_equal(evaluated, expected)
    assert_equal(load_student(averaged, tmp_path / "run" / "checkpoint.pt", cache).backbone.state_dict(), expected)

    # The curve of the last step, by a monitor of a run whose student has the averaged weights.
    adaptation = prepare_adaptation(config, cache, lambda progress: None)
    adaptation.parts.student.load_state_dict(
        {name: value.to(modules["student"][name].dtype) for name, value in expected.items()}
    )
    adaptation.parts.banks.load_state_dict(modules["banks"])
    values = Monitor(adaptation)(0)
    last = {row["name"]: row["value"] for row in result.curves if row["stage"] == "adapt"}
    names = [name for name in values if name.startswith(("source_val", "target_val"))]
    assert names
    assert {name: last[name] for name in names} == pytest.approx({name: values[name] for name in names}, abs=1e-3)


def test_a_search_scores_the_average(averaged: Config, config: Config, cache: Path, tmp_path: Path) -> None:
    def last(config: Config, name: str) -> dict[str, float]:
        out = StoragePath.at(tmp_path / name)
        return dict([*trial_evaluations(config, cache=cache, out=out, report=lambda progress: None)][-1].values)

    result = train_run(averaged, cache=cache, out=tmp_path / "run")
    curves = {row["name"]: row["value"] for row in result.curves if row["stage"] == "adapt"}
    scores, own = last(averaged, "averaged"), last(config, "own")
    assert scores["source_val_map"] == curves["source_val_map"]
    assert scores["rank_me"] != own["rank_me"]


@pytest.mark.parametrize("step", [1, 3])
def test_an_interrupted_run_resumes_with_identical_results(
    averaged: Config, cache: Path, tmp_path: Path, finished: Callable[[Config], dict[str, Any]], step: int
) -> None:
    with pytest.raises(Interruption):
        trained(averaged, cache, tmp_path, stop_at("adapt", step))
    assert set(differences(trained(averaged, cache, tmp_path), finished(averaged))) <= {"/seconds"}


def test_the_supervised_row_is_not_averaged(averaged: Config) -> None:
    assert apply(averaged, supervised_edits(averaged)).adapt.source_share == 0

"""`adapt.stop_after`: a run that ends before the last step of its schedule."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gckd.config import Config, ConfigError, apply
from gckd.report.comparability import budget
from gckd.storage.checkpoint import load_checkpoint
from gckd.storage.path import StoragePath
from gckd.training.search_trial import trial_evaluations
from tests.training.micro import differences, trained


def test_a_stopped_run_has_the_weights_of_a_search_trial_at_that_step(
    config: Config, cache: Path, tmp_path: Path
) -> None:
    trial = trial_evaluations(config, cache=cache, out=StoragePath.at(tmp_path / "trial"), report=lambda p: None)
    next(trial)  # the first of two evaluations, after 2 of 4 steps
    expected = load_checkpoint(tmp_path / "trial" / "checkpoint.pt")
    stopped = trained(apply(config, {"adapt.stop_after": 2}), cache, tmp_path / "stopped")
    assert (stopped["step"], expected["step"]) == (2, 2)
    assert not differences(stopped["modules"], expected["modules"])
    whole = trained(config, cache, tmp_path / "whole")
    assert not torch.equal(*(next(iter(run["modules"]["student"].values())) for run in (stopped, whole)))


def test_a_run_is_evaluated_at_its_last_step(config: Config, cache: Path, tmp_path: Path) -> None:
    stopped = trained(apply(config, {"adapt.stop_after": 3}), cache, tmp_path)
    assert sorted({row["step"] for row in stopped["curve"]}) == [0, 2, 3]


def test_a_step_after_the_last_one_is_refused(config: Config) -> None:
    with pytest.raises(ConfigError, match="adapt.stop_after: 5 is outside its limit: <= adapt.steps = 4"):
        apply(config, {"adapt.stop_after": 5})
    assert apply(config, {"adapt.stop_after": 3, "adapt.steps": 0}).adapt.steps == 0  # the row of the source model


def test_the_budget_is_that_of_the_steps_made(config: Config) -> None:
    stopped = apply(config, {"adapt.stop_after": 3})
    assert budget(stopped)["budget of adaptation"] == f"{3 * config.adapt.batch} pairs"
    assert "budget of adaptation" not in budget(apply(stopped, {"adapt.steps": 0}))

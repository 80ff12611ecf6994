"""Interruptions and divergence between two evaluations: the checkpoint of the last step is whole, and exact."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gckd.config import Config, apply
from gckd.errors import DivergenceError
from gckd.interruption import request_interruption
from gckd.progress import Progress, ProgressCallback
from gckd.storage.checkpoint import load_checkpoint
from gckd.storage.path import StoragePath
from gckd.training.run import train_run
from gckd.training.search_trial import trial_evaluations
from gckd.training.trainer import Stage
from tests.training.micro import STEPS, Interruption, differences, stop_at, trained

Finished = Callable[[Config], dict[str, Any]]


def loading_threads() -> int:
    """Number of the threads that load batches."""
    return sum(thread.name.startswith("batches") for thread in threading.enumerate())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_current_step_and_the_resumed_run_is_identical(
    number: signal.Signals, config: Config, cache: Path, tmp_path: Path
) -> None:
    once = apply(config, {"adapt.evaluations": 1})
    loading: list[int] = []  # threads that load batches, in the interrupted step

    def interrupt(progress: Progress) -> None:
        if progress.stage == "adapt" and progress.step == 1:
            loading.append(loading_threads())
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        trained(once, cache, tmp_path / "stopped", interrupt)
    assert loading == [2]  # one for each domain
    assert loading_threads() == 0
    assert load_checkpoint(tmp_path / "stopped" / "checkpoint.pt")["step"] == 1 < STEPS
    resumed, whole = trained(once, cache, tmp_path / "stopped"), trained(once, cache, tmp_path / "whole")
    assert set(differences(resumed, whole)) <= {"/seconds"}


def test_a_stop_request_saves_the_current_step_and_the_resumed_run_is_identical(
    config: Config, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training function of Ray Train runs outside the main thread, where no signal arrives."""
    monkeypatch.setattr("gckd.interruption._requested", threading.Event())
    once = apply(config, {"adapt.evaluations": 1})

    def stop(progress: Progress) -> None:
        if (progress.stage, progress.step) == ("adapt", 2):
            request_interruption()

    with pytest.raises(KeyboardInterrupt):
        trained(once, cache, tmp_path / "stopped", stop)
    monkeypatch.setattr("gckd.interruption._requested", threading.Event())
    assert load_checkpoint(tmp_path / "stopped" / "checkpoint.pt")["step"] == 2 < STEPS
    resumed, whole = trained(once, cache, tmp_path / "stopped"), trained(once, cache, tmp_path / "whole")
    assert set(differences(resumed, whole)) <= {"/seconds"}


@pytest.mark.parametrize("steps", [0, 2])
def test_a_run_stopped_before_its_evaluation_on_test_resumes_with_identical_curves(
    steps: int, config: Config, cache: Path, tmp_path: Path
) -> None:
    """Without steps, the only checkpoint is that of step 0, which already has the values of step 0."""
    row = apply(config, {"adapt.steps": steps})
    with pytest.raises(Interruption):
        train_run(row, cache=cache, out=tmp_path / "stopped", report=stop_at("evaluate", 0))
    results = (train_run(row, cache=cache, out=tmp_path / folder) for folder in ("stopped", "whole"))
    resumed, whole = ([curve for curve in result.curves if curve["name"] != "seconds"] for result in results)
    assert [curve for curve in resumed if curve["step"] == 0]
    assert resumed == whole


def test_a_timer_saves_between_evaluations(config: Config, cache: Path, tmp_path: Path) -> None:
    often = apply(config, {"adapt.evaluations": 1, "checkpoint_minutes": 1e-9})
    with pytest.raises(Interruption):
        trained(often, cache, tmp_path / "stopped", stop_at("adapt", 3))
    assert load_checkpoint(tmp_path / "stopped" / "checkpoint.pt")["step"] == 2
    resumed, whole = trained(often, cache, tmp_path / "stopped"), trained(often, cache, tmp_path / "whole")
    assert set(differences(resumed, whole)) <= {"/seconds"}


@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGTERM])
def test_a_search_trial_saves_between_epochs_and_resumes_with_identical_values(
    number: signal.Signals | None, config: Config, cache: Path, tmp_path: Path
) -> None:
    """By the timer (None) or by a signal."""
    once = apply(config, {"adapt.evaluations": 1, "checkpoint_minutes": 60.0 if number else 1e-9})

    def trial(folder: str, report: ProgressCallback = lambda progress: None) -> list[dict[str, float]]:
        out = StoragePath.at(tmp_path / folder)
        evaluations = trial_evaluations(once, cache=cache, out=out, report=report)
        return [{k: v for k, v in evaluation.values.items() if k != "seconds"} for evaluation in evaluations]

    def interrupt(progress: Progress) -> None:
        if (progress.stage, progress.step) == ("adapt", 2) and number:
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt if number else Interruption):
        trial("stopped", interrupt if number else stop_at("adapt", 3))
    assert load_checkpoint(tmp_path / "stopped" / "checkpoint.pt")["step"] == 2 < STEPS
    assert trial("stopped") == trial("whole")


def diverging_stage(config: Config, at: int, value: float) -> Stage:
    """Stage with the terms `a` and `b`; `b` gets `value` at batch `at`."""
    layer = nn.Linear(2, 1)

    def terms(batch: int) -> dict[str, Tensor]:
        loss = layer(torch.ones(1, 2)).mean()
        return {"a": loss, "b": loss * (value if batch == at else 1.0)}

    schedule = config.adapt  # four steps, two evaluations
    return Stage("adapt", "digest", 0, schedule, {"model": layer}, terms, {"a": 1.0, "b": 1.0}, lambda step: {})


def test_a_diverged_run_names_term_and_step_and_keeps_its_last_checkpoint(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    message = r"adapt step 4: the loss is not finite \(b nan\); the checkpoint of step 2 is kept; lower adapt.lr"
    with pytest.raises(DivergenceError, match=message):
        diverging_stage(config, 3, float("nan")).run(file)
    saved = load_checkpoint(file)
    assert saved["step"] == 2
    assert all(bool(torch.isfinite(weight).all()) for weight in saved["modules"]["model"].values())


def test_weights_that_are_not_finite_are_never_saved(config: Config, tmp_path: Path) -> None:
    stage = diverging_stage(config, -1, 1.0)

    def spoil() -> None:
        with torch.no_grad():
            stage.modules["model"].get_parameter("weight").fill_(float("nan"))

    stage.after_step = spoil
    with pytest.raises(DivergenceError, match="adapt step 2: "):
        stage.run(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "checkpoint.pt").exists()

"""Runs that end with label-free scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from gckd.config import Config, apply
from gckd.progress import ProgressCallback
from gckd.storage.path import StoragePath
from gckd.training.scored_run import train_and_score
from gckd.training.search_trial import trial_evaluations
from gckd.validators import SCORES
from tests.toy import make_toy, shuffle_labels
from tests.training.micro import STEPS, Interruption, stop_at

QUIET: ProgressCallback = lambda progress: None  # noqa: E731


@pytest.fixture
def tuning(config: Config) -> Config:
    return apply(config, {"adapt.evaluations": 1, "seed": 1003})


def test_the_scores_are_those_of_a_search_trial_after_the_last_step(
    config: Config, tuning: Config, cache: Path, tmp_path: Path
) -> None:
    """The trial has two evaluations, the run one, so that the number of evaluations does not matter either."""
    trial = apply(config, {"seed": 1003})
    *_, last = trial_evaluations(trial, cache=cache, out=StoragePath.at(tmp_path / "trial"), report=QUIET)
    result = train_and_score(tuning, cache=cache, out=tmp_path / "run")
    assert result.last == {name: last.values[name] for name in SCORES}
    assert result.start.keys() == SCORES.keys() and result.start != result.last
    assert result.rank_1 is None
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_of_several_workers_only_the_first_one_removes_the_checkpoint(
    tuning: Config, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first worker writes it, perhaps after another one has ended."""
    monkeypatch.setattr("gckd.training.scored_run.rank", lambda: 1)
    train_and_score(tuning, cache=cache, out=tmp_path)
    assert (tmp_path / "checkpoint.pt").exists()


def test_target_labels_change_no_score(tuning: Config, cache: Path, tmp_path: Path) -> None:
    shuffled = shuffle_labels(make_toy(tmp_path / "shuffled", shade=120), ["train", "val", "test"])
    original_run, shuffled_run = (
        train_and_score(apply(tuning, edits) if edits else tuning, cache=cache, out=tmp_path / str(len(edits)))
        for edits in ({}, {"data.target": str(shuffled)})
    )
    assert (original_run.start, original_run.last) == (shuffled_run.start, shuffled_run.last)


def test_an_interrupted_run_resumes_with_identical_scores(config: Config, cache: Path, tmp_path: Path) -> None:
    uninterrupted = train_and_score(config, cache=cache, out=tmp_path / "uninterrupted")
    with pytest.raises(Interruption):
        train_and_score(config, cache=cache, out=tmp_path / "run", report=stop_at("adapt", STEPS - 1))
    assert (tmp_path / "run" / "checkpoint.pt").exists()
    resumed = train_and_score(config, cache=cache, out=tmp_path / "run")
    assert (resumed.start, resumed.last) == (uninterrupted.start, uninterrupted.last)

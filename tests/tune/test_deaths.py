"""A killed worker: its trial resumes from its checkpoint and has identical results."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState

from gckd.cluster.trial import Search, results, source_model
from gckd.config import apply
from gckd.storage.checkpoint import load_checkpoint
from gckd.training.load import CHECKPOINT
from tests.tune.search_process import EPOCHS, TRIAL, SearchFolder, descendants, output_of, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def undisturbed(search_folder: SearchFolder, trial: FrozenTrial) -> dict[int, dict[str, float]]:
    """Epoch -> result of the trial without any interruption, run here without Ray."""
    base = apply(search_folder.config, {"adapt.evaluations": EPOCHS})
    bare = Search(base, search_folder.folder / "cache", "default", threads=1, start={})
    search = Search(base, bare.cache, "default", 1, start={base.seed: source_model(bare, base.seed).scores})
    arguments = {"edits": trial.user_attrs["edits"], "number": trial.number, "seeds": [base.seed]}
    epoch_results = results(search, arguments | {"folder": str(search_folder.folder / f"undisturbed-{trial.number}")})
    return {result["epoch"]: {"value": result["score"], **result["scores"]} for result in epoch_results}


def reported(trial: FrozenTrial) -> dict[int, dict[str, float]]:
    """Epoch -> result of a trial in the study."""
    by_epoch = {epoch: dict(trial.user_attrs[f"epoch/{epoch}"]) for epoch in trial.intermediate_values}
    return {
        epoch: {name: value for name, value in result.items() if name != "seconds"}
        for epoch, result in by_epoch.items()
    }


def trained_once(search_folder: SearchFolder, trial: FrozenTrial) -> list[int]:
    """Epochs that were not trained again: the seconds in the last checkpoint are those in the study."""
    checkpoint: Any = load_checkpoint(
        search_folder.out / "trials" / str(trial.number) / f"seed-{search_folder.config.seed}" / CHECKPOINT
    )
    seconds = [point["value"] for point in checkpoint["curve"] if point["name"] == "seconds"]
    return [epoch for epoch, took in enumerate(seconds, 1) if took == trial.user_attrs[f"epoch/{epoch}"]["seconds"]]


def test_a_trial_survives_the_death_of_its_worker_and_of_the_progress_board(search_folder: SearchFolder) -> None:
    search_folder.configure(apply(search_folder.config, {"adapt.steps": 150}))
    driver = search_folder.start("--trials", "2", "--concurrent", "2", "--scheduler", "none", "--no-audit")
    search_folder.wait_for_epochs(1)
    wait_until(lambda: all(trial.intermediate_values for trial in search_folder.trials()), "an epoch of both trials")
    before = {trial.number: trial.params for trial in search_folder.trials()}
    for name in (TRIAL, "ray::Board"):
        descendants(driver.pid, name)[0].kill()
    output_of(driver)
    trials = search_folder.trials()
    assert {trial.number: trial.params for trial in trials} == before
    for trial in trials:
        assert trial.state == TrialState.COMPLETE
        assert trained_once(search_folder, trial) == [1, 2, 3]
        assert reported(trial) == undisturbed(search_folder, trial)


def test_a_nested_trial_survives_the_death_of_a_worker(search_folder: SearchFolder) -> None:
    """Without dropout, as masks differ between workers. Sums over two workers are rounded differently."""
    search_folder.configure(apply(search_folder.config, {"adapt.steps": 150, "backbone.text.dropout": 0.0}))
    driver = search_folder.start("--trials", "1", "--scheduler", "none", "--no-audit", "--workers-per-trial", "2")
    search_folder.wait_for_epochs(1)
    descendants(driver.pid, "ray::RayTrainWorker")[-1].kill()
    output_of(driver)
    (trial,) = search_folder.trials()
    assert trial.state == TrialState.COMPLETE
    assert trained_once(search_folder, trial) == [1, 2, 3]
    expected = undisturbed(search_folder, trial)
    for epoch, result in reported(trial).items():
        assert result == pytest.approx(expected[epoch], rel=1e-2, abs=1e-2)

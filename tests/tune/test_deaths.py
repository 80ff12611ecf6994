"""Workers that are killed in the middle of a trial: it goes on from its checkpoint and finds what it would have."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState

from gckd.cluster.trial import Search, results, source_model
from gckd.config import apply
from gckd.storage.checkpoint import load_checkpoint
from gckd.training.load import CHECKPOINT
from tests.tune.search_process import EPOCHS, TRIAL, SearchFolder, descendants, ended, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def undisturbed(place: SearchFolder, trial: FrozenTrial) -> dict[int, dict[str, float]]:
    """What the trial tells after each epoch where nothing happens to it: run here, without Ray."""
    base = apply(place.config, {"adapt.evaluations": EPOCHS})
    bare = Search(base, place.folder / "cache", "default", threads=1, start={})
    search = Search(base, bare.cache, "default", 1, start={base.seed: source_model(bare, base.seed).scores})
    given = {"edits": trial.user_attrs["edits"], "number": trial.number, "seeds": [base.seed]}
    found = results(search, given | {"folder": str(place.folder / f"undisturbed-{trial.number}")})
    return {result["epoch"]: {"value": result["score"], **result["scores"]} for result in found}


def told(trial: FrozenTrial) -> dict[int, dict[str, float]]:
    """The same of a trial of a study."""
    found = {epoch: dict(trial.user_attrs[f"epoch/{epoch}"]) for epoch in trial.intermediate_values}
    return {epoch: {name: value for name, value in said.items() if name != "seconds"} for epoch, said in found.items()}


def trained_once(place: SearchFolder, trial: FrozenTrial) -> list[int]:
    """Epochs of its last checkpoint that took the very seconds it told, which no second training would take again."""
    checkpoint: Any = load_checkpoint(
        place.out / "trials" / str(trial.number) / f"seed-{place.config.seed}" / CHECKPOINT
    )
    seconds = [point["value"] for point in checkpoint["curve"] if point["name"] == "seconds"]
    return [epoch for epoch, took in enumerate(seconds, 1) if took == trial.user_attrs[f"epoch/{epoch}"]["seconds"]]


def test_a_worker_and_what_shows_progress(place: SearchFolder) -> None:
    place.configure(apply(place.config, {"adapt.steps": 150}))
    driver = place.start("--trials", "2", "--concurrent", "2", "--scheduler", "none", "--no-audit")
    place.told(1)
    wait_until(lambda: all(trial.intermediate_values for trial in place.trials()), "both trials have told an epoch")
    before = {trial.number: trial.params for trial in place.trials()}
    for name in (TRIAL, "ray::Board"):
        descendants(driver.pid, name)[0].kill()
    ended(driver)
    trials = place.trials()
    assert {trial.number: trial.params for trial in trials} == before
    for trial in trials:
        assert trial.state == TrialState.COMPLETE
        assert trained_once(place, trial) == [1, 2, 3]
        assert told(trial) == undisturbed(place, trial)


def test_one_of_the_workers_of_a_nested_trial(place: SearchFolder) -> None:
    """Dropout masks are a worker's own, so without dropout; sums over two workers round in another order."""
    place.configure(apply(place.config, {"adapt.steps": 150, "backbone.text.dropout": 0.0}))
    driver = place.start("--trials", "1", "--scheduler", "none", "--no-audit", "--workers-per-trial", "2")
    place.told(1)
    descendants(driver.pid, "ray::RayTrainWorker")[-1].kill()
    ended(driver)
    (trial,) = place.trials()
    assert trial.state == TrialState.COMPLETE
    assert trained_once(place, trial) == [1, 2, 3]
    expected = undisturbed(place, trial)
    for epoch, said in told(trial).items():
        assert said == pytest.approx(expected[epoch], rel=1e-2, abs=1e-2)

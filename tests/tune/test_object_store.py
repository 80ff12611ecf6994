"""A search whose output is in an object store: nothing but the driver's own files is on a disk."""

from __future__ import annotations

import shutil

import pytest
from optuna.trial import TrialState

from gckd.storage.checkpoint import load_checkpoint
from gckd.storage.path import StoragePath
from tests.tune.search_process import SearchFolder


def text(file: StoragePath) -> str:
    with file.reading() as local:
        return local.read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_goes_on_from_another_machine(place: SearchFolder, bucket: str) -> None:
    out = f"{bucket}/search"
    place.run("--trials", "2", "--scheduler", "none", out=out)
    (folder,) = (place.folder / "runs").iterdir()
    assert not (folder / "trials").exists()
    assert (folder / "tune").exists() and not (
        StoragePath.at(out) / "tune"
    ).exists()  # some files a trial, for TensorBoard
    first = place.trials(f"runs/{folder.name}", study="search")
    assert [trial.state for trial in first] == [TrialState.COMPLETE] * 2
    for trial in first:
        saved = load_checkpoint(StoragePath.at(trial.user_attrs["folder"]) / f"seed-{place.config.seed}" / "best.pt")
        steps = place.config.adapt.steps
        assert saved["step"] == round(trial.user_attrs["epoch"] * steps / len(trial.intermediate_values))
    report = text(StoragePath.at(out) / "report.html")
    shutil.rmtree(place.folder / "runs")  # another machine
    said = place.run("--trials", "3", "--scheduler", "none", out=out)
    assert f"written to {out}" in said
    again = place.trials(f"runs/{folder.name}", study="search")
    assert [trial.values for trial in again[:2]] == [trial.values for trial in first]
    assert len(again) >= 3
    assert text(StoragePath.at(out) / "report.html") != report

"""A search with its output in an object store."""

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
def test_a_search_resumes_on_another_machine(search_folder: SearchFolder, bucket: str) -> None:
    out = f"{bucket}/search"
    search_folder.run("--trials", "2", "--scheduler", "none", out=out)
    (folder,) = (search_folder.folder / "runs").iterdir()
    assert not (folder / "trials").exists()
    assert (folder / "tune").exists() and not (
        StoragePath.at(out) / "tune"
    ).exists()  # some files per trial, for TensorBoard
    first = search_folder.trials(f"runs/{folder.name}", study="search")
    assert [trial.state for trial in first] == [TrialState.COMPLETE] * 2
    for trial in first:
        saved = load_checkpoint(
            StoragePath.at(trial.user_attrs["folder"]) / f"seed-{search_folder.config.seed}" / "best.pt"
        )
        steps = search_folder.config.adapt.steps
        assert saved["step"] == round(trial.user_attrs["epoch"] * steps / len(trial.intermediate_values))
    report = text(StoragePath.at(out) / "report.html")
    shutil.rmtree(search_folder.folder / "runs")  # another machine
    output = search_folder.run("--trials", "3", "--scheduler", "none", out=out)
    assert f"written to {out}" in output
    again = search_folder.trials(f"runs/{folder.name}", study="search")
    assert [trial.values for trial in again[:2]] == [trial.values for trial in first]
    assert len(again) >= 3
    assert text(StoragePath.at(out) / "report.html") != report

"""A search whose output is in an object store: nothing but the driver's own files is on a disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from optuna.trial import TrialState

from gckd.errors import InputError
from gckd.place import Place
from gckd.train.loop import load_checkpoint
from tests.tune.place import Place as Folder
from tune.mirror import Mirror


def text(place: Place) -> str:
    with place.reading() as file:
        return file.read_text()


def test_what_is_there_and_not_here_is_fetched(tmp_path: Path, bucket: str) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    out = Place.at(bucket) / "out"
    Mirror(one, out).fetch(("owner",))  # nothing is there
    (one / "owner").write_text("us")
    (one / ".lock").touch()
    (one / "study.journal").write_text("a\n")
    Mirror(one, out).save()
    assert not (out / ".lock").exists()
    Mirror(two, out).fetch(("owner",))
    assert sorted(path.name for path in two.iterdir()) == ["owner", "study.journal"]
    (two / "study.journal").write_text("a\nb\n")  # went on there
    Mirror(two, out).save()
    Mirror(one, out).fetch(("owner",))
    assert (one / "study.journal").read_text() == "a\nb\n"
    (one / "study.journal").write_text("a\nc\n")
    with pytest.raises(InputError, match="went on without each other"):
        Mirror(one, out).fetch(("owner",))


def test_an_output_folder_is_no_mirror(tmp_path: Path) -> None:
    (tmp_path / "owner").write_text("us")
    mirror = Mirror(tmp_path, Place.at(tmp_path))
    mirror.fetch(("owner",))
    mirror.save()
    assert [path.name for path in tmp_path.iterdir()] == ["owner"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_goes_on_from_another_machine(place: Folder, bucket: str) -> None:
    out = f"{bucket}/search"
    place.run("--trials", "2", "--scheduler", "none", out=out)
    (folder,) = (place.folder / "runs").iterdir()
    assert not (folder / "trials").exists() and not (folder / "tune").exists()
    first = place.trials(f"runs/{folder.name}", study="search")
    assert [trial.state for trial in first] == [TrialState.COMPLETE] * 2
    for trial in first:
        saved = load_checkpoint(Place.at(trial.user_attrs["folder"]) / f"seed-{place.config.seed}" / "best.pt")
        steps = place.config.adapt.steps
        assert saved["step"] == round(trial.user_attrs["epoch"] * steps / len(trial.intermediate_values))
    report = text(Place.at(out) / "report.html")
    shutil.rmtree(place.folder / "runs")  # another machine
    said = place.run("--trials", "3", "--scheduler", "none", out=out)
    assert f"written to {out}" in said
    again = place.trials(f"runs/{folder.name}", study="search")
    assert [trial.values for trial in again[:2]] == [trial.values for trial in first]
    assert len(again) >= 3
    assert text(Place.at(out) / "report.html") != report

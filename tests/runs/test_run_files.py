"""Files of finished runs: a changed config.yaml is restored, a checkpoint that is no archive is named."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from gckd.config import Config, config_text, read_config
from gckd.runs.plan import plan
from gckd.runs.run_files import remove_outdated_checkpoints, restore_config, unreadable_checkpoints
from gckd.storage.mirror import Mirror
from gckd.storage.path import StoragePath


def test_checkpoints_of_another_config_are_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tuned learning rate can change on resume; a run refuses a checkpoint of the earlier rate."""
    runs = plan(Config(), {}, 4, tmp_path)
    texts = [config_text(runs[0].config), config_text(runs[1].config).replace("lr: ", "lr: 0.5e", 1), "seed: [", None]
    for run, text in zip(runs, texts, strict=True):
        run.folder.mkdir(parents=True)
        (run.folder / "checkpoint.pt").touch()
        if text:
            (run.folder / "config.yaml").write_text(text)
    assert read_config(runs[1].folder / "config.yaml") != runs[1].config
    out = StoragePath.at(tmp_path)
    remove_outdated_checkpoints(runs, out, Mirror(tmp_path, out))
    assert [(run.folder / "checkpoint.pt").exists() for run in runs] == [True, False, True, True]
    assert capsys.readouterr().err == f"{runs[1].name}: its config has changed, so it starts anew\n"


def test_damaged_files_of_a_table(tmp_path: Path) -> None:
    runs = plan(Config(), {}, 4, tmp_path)
    files = [tmp_path / "full" / f"seed-{run.seed}" / "checkpoint.pt" for run in runs]
    for file in files:
        file.parent.mkdir(parents=True)
    with zipfile.ZipFile(files[0], "w") as whole:
        whole.writestr("data", "weights")
    files[1].write_bytes(files[0].read_bytes()[:20])
    files[2].mkdir()  # and the last one was deleted to save space
    named = [line.partition(":")[0] for line in unreadable_checkpoints(runs, StoragePath.at(tmp_path))]
    assert named == [str(files[1]), str(files[2])]

    for content in (None, b"seed: 1", b"\xff"):
        if content:
            (runs[0].folder / "config.yaml").write_bytes(content)
        restore_config(runs[0])
        assert (runs[0].folder / "config.yaml").read_text() == config_text(runs[0].config)

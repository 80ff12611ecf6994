"""Files of finished runs: a changed config.yaml is restored, a checkpoint that is no archive is named."""

from __future__ import annotations

import zipfile
from pathlib import Path

from gckd.config import Config, config_text
from gckd.runs.plan import plan
from gckd.runs.run_files import restore_config, unreadable_checkpoints
from gckd.storage.path import StoragePath


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

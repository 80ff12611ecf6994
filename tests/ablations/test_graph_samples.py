"""Graph samples of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gckd.ablations.components import drop_edits
from gckd.ablations.graph_samples import GRAPH_CHECK, save_graph_samples
from gckd.config import preset
from gckd.report.checks import CHECKS
from gckd.report.checks.graph_picture import FILE
from gckd.runs.plan import plan
from gckd.runs.records import Records
from gckd.storage.path import StoragePath
from gckd.training import graph_sample as snapshot
from tests.report.records import record
from tests.training.test_graph_sample import checkpoint_of

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_first_finished_run_of_each_row_with_a_graph_is_sampled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = preset("tiny")
    rows = {
        "-gmp": drop_edits(frozenset({"gmp"}), full),
        "k": {"graph.propagate.k": 2},
        "broken": {"adapt.lr": 0.1},
        "source-model": {"adapt.steps": 0},
    }
    runs, records = plan(full, rows, 3, tmp_path), Records(tmp_path)
    banks = {f"{s}_{m}": torch.eye(12)[:, :8] for s in ("source", "target") for m in ("image", "text")}
    for run in runs:
        if run.seed > 0:  # no run of seed 0 has finished
            run.folder.mkdir(parents=True)
            records.add({**record(run.row, run.seed, 50.0), "config_digest": run.digest, "edits": run.edits_text})
            checkpoint_of(banks, run.folder / "checkpoint.pt")
        if run.row == "broken" and run.seed > 0:
            (run.folder / "checkpoint.pt").write_text("weights")
    save_graph_samples(runs, records, StoragePath.at(tmp_path))
    assert sorted(str(f.relative_to(tmp_path)) for f in tmp_path.rglob(FILE)) == [
        f"{row}/seed-1/{FILE}" for row in ("full", "k")
    ]
    assert "no picture of the graph of broken seed 1: " in capsys.readouterr().err


def test_names_agree_with_those_of_training_and_report() -> None:
    assert snapshot.FILE == FILE
    assert GRAPH_CHECK in CHECKS

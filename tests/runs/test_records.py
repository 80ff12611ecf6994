"""Run records in files."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.parquet as pq
import pytest

import gckd
from gckd.config import preset
from gckd.errors import InputError
from gckd.runs.plan import Run, plan
from gckd.runs.provenance import Provenance, git_revision
from gckd.runs.records import Records, failed_record
from gckd.storage.run_tables import METRICS
from tests.runs import fakes

if TYPE_CHECKING:
    from pathlib import Path

PROVENANCE = Provenance("abc", "s/A", "t/B", "", {"my_losses.py": "12ab"})
REQUIRED = {"row", "seed", *METRICS, "config_digest", "edits", "git_revision", "seconds"}


def finish(records: Records, run: Run) -> None:
    run.folder.mkdir(parents=True, exist_ok=True)
    result = fakes.run(run.config, cache=run.folder, out=run.folder)
    records.finish(run, result, PROVENANCE)


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    return plan(preset("tiny"), {"-gmp": {"graph.propagate": "none"}}, 2, tmp_path)


def test_every_required_column_is_written(runs: list[Run], tmp_path: Path) -> None:
    records = Records(tmp_path)
    for run in runs:
        finish(records, run)
    table = pd.read_parquet(tmp_path / "runs.parquet")
    assert set(table.columns) >= REQUIRED
    assert table["row"].tolist() == ["full", "full", "-gmp", "-gmp"]
    assert table["rank_1"].tolist() == [fakes.expected_rank_1(r.config) for r in runs]
    assert table["config_digest"].tolist() == [r.digest for r in runs]
    assert table["edits"].tolist()[::2] == ["{}", '{"graph.propagate": {"kind": "none"}}']
    assert table["plugins"].tolist() == ['{"my_losses.py": "12ab"}'] * 4
    curves = pd.read_parquet(tmp_path / "curves.parquet")
    assert list(curves.columns) == ["row", "seed", "stage", "step", "name", "value"]
    assert len(curves) == 3 * len(runs)


def test_records_are_arranged_in_the_order_of_the_plan(runs: list[Run], tmp_path: Path) -> None:
    """Runs end in any order; a table has its rows in the order in which they were asked for."""
    for run in (runs[2], runs[1], runs[3], runs[0]):
        finish(Records(tmp_path), run)
    records = Records(tmp_path)
    records.add(failed_record(runs[0], "of an earlier plan", 1.0, PROVENANCE) | {"row": "old"})
    records.arrange(runs)
    expected = [("full", 0), ("full", 1), ("-gmp", 0), ("-gmp", 1), ("old", 0)]
    assert [(r["row"], r["seed"]) for r in Records(tmp_path).runs] == expected
    assert [*dict.fromkeys((c["row"], c["seed"]) for c in Records(tmp_path).curves)] == expected[:-1]
    assert {c["name"] for c in Records(tmp_path).curves} == {c["name"] for c in records.curves}


def test_each_run_has_its_queries_in_its_folder(runs: list[Run], tmp_path: Path) -> None:
    finish(Records(tmp_path), runs[2])
    table = pq.read_table(tmp_path / "without-gmp" / "seed-0" / "queries.parquet")
    kinds = {"query": "int32", "identity": "int64", "rank": "int32", "ap": "float", "top": "list<element: int32>"}
    assert {field.name: str(field.type) for field in table.schema} == kinds
    rows = table.to_pylist()
    assert [row["query"] for row in rows] == list(range(fakes.QUERIES))
    assert rows[3] == {"query": 3, "identity": 1, "rank": 1, "ap": 1.0, "top": [0, 1, 2, 3, 4]}
    assert rows[-1]["ap"] == 0.5
    rank_1 = 100 * sum(row["rank"] == 1 for row in rows) / len(rows)
    assert rank_1 == fakes.expected_rank_1(runs[2].config)


def test_only_a_finished_run_of_the_same_config_is_finished(runs: list[Run], tmp_path: Path) -> None:
    records = Records(tmp_path)
    finish(records, runs[0])
    records.add(failed_record(runs[1], "ValueError: no", 1.0, PROVENANCE))
    again = Records(tmp_path)
    assert [again.finished(r) for r in runs] == [True, False, False, False]
    (other, *_) = plan(preset("base"), {}, 1, tmp_path)
    assert not again.finished(other)
    (failure,) = [r for r in again.runs if r["status"] == "failed"]
    assert (failure["error"], failure["rank_1"]) == ("ValueError: no", None)


def test_a_repeated_run_replaces_its_record_and_its_curve(runs: list[Run], tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.add(failed_record(runs[0], "ValueError: no", 1.0, PROVENANCE))
    finish(records, runs[1])
    finish(records, runs[0])
    finish(records, runs[0])
    assert [(r["seed"], r["status"]) for r in Records(tmp_path).runs] == [(1, "done"), (0, "done")]
    assert len(Records(tmp_path).curves) == 6


def test_an_interrupted_write_leaves_the_old_file(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = Records(tmp_path)
    finish(records, runs[0])

    def power_cut(*_: object) -> None:
        raise OSError("power cut")

    monkeypatch.setattr(os, "fsync", power_cut)
    with pytest.raises(OSError, match="power cut"):
        finish(records, runs[1])
    assert [r["seed"] for r in Records(tmp_path).runs] == [0]
    assert pq.read_table(tmp_path / "curves.parquet").num_rows == 3


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs.parquet").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"runs.parquet: cannot be read"):
        Records(tmp_path)


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_revision_is_the_commit_and_marks_uncommitted_changes(tmp_path: Path) -> None:
    package = tmp_path / "gckd"
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert git_revision(package) == f"gckd {gckd.__version__}"
    git(tmp_path, "init", "-q")
    assert git_revision(package) == f"gckd {gckd.__version__}"  # in a checkout, but not tracked
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_revision(package) == commit
    (package / "__init__.py").write_text("changed")
    assert git_revision(package) == f"{commit}-dirty"

"""Several output folders in one table: joined, as subtables, or refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gckd.config import apply, preset, to_yaml
from gckd.errors import InputError
from gckd.report.question import Question
from gckd.report.subtable import join_subtables, mismatch_lines, read_subtable
from gckd.report.table_report import make_report
from gckd.runs.records import Records
from tests.report.records import failed, record

STREET = {"source_digest": "s", "target_digest": "t", "git_revision": "a" * 40, "edits": "{}"}
BACK = {"source": "street/B", "target": "street/A", "source_digest": "t", "target_digest": "s"}


def fill(folder: Path, runs: list[dict[str, Any]], **edits: Any) -> Path:
    records = Records(folder)
    for run in runs:
        curve = [{"stage": "adapt", "step": 1, "name": "loss", "value": run["rank_1"] or 0.0}]
        records.add({**STREET, **run}, curve if run["status"] == "done" else [])
    (folder / "config.yaml").write_text(to_yaml(apply(preset("tiny"), edits) if edits else preset("tiny")))
    return folder


def text_of(folders: list[Path], **options: Any) -> str:
    out = io.StringIO()
    make_report(folders, Console(file=out, width=250), **{"out": None, **options})
    return out.getvalue()


def test_folders_of_one_config_and_datasets_are_joined(tmp_path: Path) -> None:
    """The second folder repeats seed 0 of full, has its seed 1 that failed in the first, and has other rows."""
    a = fill(tmp_path / "a", [record("full", 0, 70), failed("full", 1), record("-gmp", 0, 68)])
    runs = [record("full", 0, 70), record("full", 1, 72), record("-cmkd", 1, 65), failed("-mlm", 0)]
    b = fill(tmp_path / "b", runs, **{"seed": 1, "data.source": "/elsewhere"})
    (subtable,) = join_subtables([read_subtable(a), read_subtable(b)], mixed=False)
    assert {(r["row"], r["seed"]): r["rank_1"] for r in subtable.records} == {
        ("full", 0): 70.0,
        ("full", 1): 72.0,
        ("-gmp", 0): 68.0,
        ("-cmkd", 1): 65.0,
        ("-mlm", 0): None,
    }
    assert sorted((c["row"], c["seed"]) for c in subtable.curves) == [
        ("-cmkd", 1),
        ("-gmp", 0),
        ("full", 0),
        ("full", 1),
    ]
    full, *others = subtable.summaries()
    assert (full.seeds, full.failed, full.subtable) == ((0, 1), 0, "")
    assert [(row.row, row.to_full["map"].mean) for row in others[:2]] == [("-gmp", 2.0), ("-cmkd", 7.0)]
    assert others[2].runs == "0 (1 of 1 failed)"
    text_of([a, b], out=tmp_path)
    caption = (tmp_path / "table.md").read_text()
    assert "Not every row has all of them; Δ uses the seeds that both rows have." in caption


def test_other_datasets_are_a_subtable_of_their_own(tmp_path: Path) -> None:
    rows = [record("full", 0, 70), record("full", 1, 71), record("-gmp", 0, 68), record("-gmp", 1, 68)]
    a = fill(tmp_path / "a", rows)
    b = fill(tmp_path / "b", [r | BACK | {"rank_1": r["rank_1"] - 20, "notes": '["few"]'} for r in rows])
    Question("Why?", {"-gmp": ["gmp"]}).save(a)
    Question("Why?", {}).save(b)
    out = tmp_path / "out"
    out.mkdir()
    shown = text_of([a, b], out=out)
    assert "70.5" in shown and "50.5" in shown and "60.5" not in shown
    names = ["street/ICFG-PEDES → street/RSTPReid", "street/B → street/A"]
    markdown, tex = ((out / name).read_text() for name in ("table.md", "table.tex"))
    assert [line.strip("| ").split("**")[1] for line in markdown.splitlines() if "**" in line] == names
    for place, name in enumerate(names):
        assert tex.split(r"\emph{")[place + 1].startswith(name.replace("→", r"$\rightarrow$"))
    assert r"street/ICFG-PEDES & 70.5 & -- \\" in (out / "grid.tex").read_text()
    lines = list(csv.DictReader((out / "table.csv").open()))
    assert [(line["subtable"], line["row"], line["rank_1"]) for line in lines] == [
        (names[0], "full", "70.5"),
        (names[0], "-gmp", "68"),
        (names[1], "full", "50.5"),
        (names[1], "-gmp", "48"),
    ]
    caption = [line.strip() for line in markdown.splitlines()]
    assert caption.count("Why?") == 1
    assert f"{names[0]}: source val was flat" in caption and f"{names[1]}: few" in caption
    assert sum("Checkpoint: that of the last step" in line for line in caption) == 1
    assert f"{names[0]}: Shapley value" in markdown
    assert not (out / "curves.png").exists()


def test_another_full_config_is_refused_in_one_line_or_is_a_subtable(tmp_path: Path) -> None:
    a = fill(tmp_path / "a", [record("full", 0, 70)])
    b = fill(tmp_path / "b", [record("full", 0, 60)], **{"adapt.steps": 7, "graph.propagate": "none"})
    with pytest.raises(InputError) as refused:
        text_of([a, b])
    steps = preset("tiny").adapt.steps
    assert len(str(refused.value).splitlines()) == 1
    assert f"adapt.steps: {steps} -> 7" in str(refused.value) and "graph.propagate.kind" in str(refused.value)
    shown = text_of([a, b], mixed=True)
    assert (
        f"street/ICFG-PEDES → street/RSTPReid ({a})" in shown.replace("\n", " ")
        and "warning: the runs differ in full config" in shown
    )
    assert "70.0" in shown and "60.0" in shown and "62.5" not in shown


def test_folders_of_other_code_are_refused_or_reported(tmp_path: Path) -> None:
    a = fill(tmp_path / "a", [record("full", 0, 70)])
    b = fill(tmp_path / "b", [record("full", 0, 60) | BACK | {"git_revision": "b" * 40}])
    with pytest.raises(InputError, match=r"code: a{12} \(.*RSTPReid\); b{12} \(street/B → street/A\)"):
        text_of([a, b])
    assert "warning: the runs differ in code" in text_of([a, b], mixed=True)


def test_a_row_with_other_edits_in_an_earlier_folder_is_refused(tmp_path: Path) -> None:
    a = fill(tmp_path / "a", [record("wide", 0, 70, edits='{"adapt.lr": 0.1}')])
    b = fill(tmp_path / "b", [record("wide", 1, 60, edits='{"adapt.lr": 0.2}')])
    for mixed in (False, True):
        with pytest.raises(InputError, match=r'row wide has the edits \{"adapt.lr": 0.2\}, in an earlier folder'):
            text_of([a, b], mixed=mixed)


def test_a_run_with_other_results_is_refused_or_left_out(tmp_path: Path) -> None:
    a = fill(tmp_path / "a", [record("full", 0, 70)])
    b = fill(tmp_path / "b", [record("full", 0, 60)])
    with pytest.raises(InputError, match=r"row full, seed 0 has Rank-1 60.00, in an earlier folder 70.00"):
        text_of([a, b])
    (subtable,) = join_subtables([read_subtable(a), read_subtable(b)], mixed=True)
    assert [r["rank_1"] for r in subtable.records] == [70.0]
    assert mismatch_lines([subtable]) == []


def test_the_question_of_an_older_folder_is_read(tmp_path: Path) -> None:
    """Version 0.1.0 wrote it as asked.json."""
    (tmp_path / "asked.json").write_text(
        '{"question": "Why?", "dropped": {"-gmp": ["gmp"]}, "checks": ["sensitivity"]}'
    )
    assert Question.load(tmp_path) == Question("Why?", {"-gmp": ["gmp"]}, ["sensitivity"])

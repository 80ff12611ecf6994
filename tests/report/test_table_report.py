"""Report of an output folder: its files, and runs that it refuses."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from rich.console import Console

from gckd.config import preset, to_yaml
from gckd.errors import InputError
from gckd.report.curves import draw_curves, mean_curve
from gckd.report.question import Question
from gckd.report.table_report import write_report
from gckd.runs.records import Records
from tests.report.records import record

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"table.md", "table.csv", "table.tex", "table_full.tex", "setup.tex", "report.html"}
FILES |= {f"curves.{suffix}" for suffix in ("png", "svg", "pdf")}


def fill(folder: Path) -> None:
    records = Records(folder)
    for row, base in (("full", 70), ("-gmp", 68)):
        for seed in (0, 1):
            curve = [{"stage": "adapt", "step": s, "name": n, "value": s * 0.5} for s in range(5) for n in ("a", "b")]
            records.add({**record(row, seed, base + seed), "edits": "{}"}, curve)
    (folder / "config.yaml").write_text(to_yaml(preset("tiny")))


def test_every_file_is_written_and_a_second_report_is_identical(tmp_path: Path) -> None:
    fill(tmp_path)
    out = io.StringIO()
    assert [row.row for row in write_report(tmp_path, Console(file=out, width=160))] == ["full", "-gmp"]
    assert {p.name for p in tmp_path.iterdir()} >= FILES
    assert "70.5" in out.getvalue()
    first = (tmp_path / "table.md").read_text()
    write_report(tmp_path, Console(file=io.StringIO()))
    assert (tmp_path / "table.md").read_text() == first
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert [float(row["rank_1"]) for row in rows] == [70.5, 68.5]


def test_the_question_is_the_first_line_of_the_caption(tmp_path: Path) -> None:
    fill(tmp_path)
    Question("", {}).save(tmp_path)
    write_report(tmp_path, Console(file=io.StringIO()))
    assert "Why?" not in (tmp_path / "table.md").read_text()
    Question("Why?", {"-gmp": ["gmp"]}).save(tmp_path)
    write_report(tmp_path, Console(file=io.StringIO()))
    table, caption, _, over_seeds, shapley, _ = (tmp_path / "table.md").read_text().split("\n\n")
    assert over_seeds.startswith("Over seeds.")
    assert caption.startswith("Why?") and "Why?" not in table
    assert shapley.splitlines()[-1].split("|")[1].strip() == "gmp"


def test_curves_are_drawn_unless_there_are_none(tmp_path: Path) -> None:
    fill(tmp_path)
    assert draw_curves(Records(tmp_path).curves, tmp_path)
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > picture.height > 100
        assert len(set(picture.convert("RGB").get_flattened_data())) > 20
    assert (tmp_path / "curves.pdf").read_bytes().startswith(b"%PDF") and (tmp_path / "curves.svg").exists()
    (tmp_path / "none").mkdir()
    assert not draw_curves([], tmp_path / "none")
    assert not list((tmp_path / "none").iterdir())


def test_the_mean_curve_averages_over_seeds() -> None:
    points = [{"step": s, "value": float(v)} for s, v in ((1, 1), (0, 4), (1, 3))]
    steps, means, widths = mean_curve(points)
    assert (steps, means) == ([0, 1], [4.0, 2.0])
    assert widths == pytest.approx([0.0, 12.7062], abs=1e-3)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"runs.parquet: file not found"):
        write_report(tmp_path, Console(file=io.StringIO()))
    fill(tmp_path)
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(InputError, match=r"config.yaml: cannot be read \(No such file or directory\)"):
        write_report(tmp_path, Console(file=io.StringIO()))
    (tmp_path / "runs.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match=r"runs.parquet: cannot be read"):
        write_report(tmp_path, Console(file=io.StringIO()))


def test_runs_of_other_code_are_refused_or_marked(tmp_path: Path) -> None:
    fill(tmp_path)
    records = Records(tmp_path)
    for run in records.runs:
        run |= {"git_revision": "a" * 40, "target_digest": "t"}
    records.add({**record("-cmkd", 0, 60), "git_revision": "b" * 40 + "-dirty", "target_digest": "t", "edits": "{}"})
    difference = f"code: {'a' * 12} (full, -gmp); {'b' * 12}-dirty (-cmkd)"
    with pytest.raises(InputError) as refused:
        write_report(tmp_path, Console(file=io.StringIO()))
    assert str(refused.value).startswith(f"{tmp_path}: the runs differ in {difference}; --mixed puts")
    write_report(tmp_path, Console(file=io.StringIO()), mixed=True)
    text = (tmp_path / "table.md").read_text()
    assert f"MISMATCH in {difference}." in text
    assert "| -cmkd † " in text and "| -gmp " in text and "† marks a row" in text

"""LaTeX of a table: bold by the tests, names of a paper, the grid, the setup; all of it compiles."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from gckd.config import apply, preset, to_yaml
from gckd.report.finding import supported_best
from gckd.report.grid import Grid
from gckd.report.latex import escape, label_of
from gckd.report.latex_table import Title, compact_latex, full_latex
from gckd.report.row_names import paper_name
from gckd.report.setup_paragraph import setup_paragraph
from gckd.report.subtable import read_subtable
from gckd.report.summary import RowSummary, summarise
from gckd.runs.records import Records
from tests.report.records import failed, record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TITLE = Title("Ablation of 95 % & more.", "ablation-a-b")
FULL = [65.0, 66.0, 64.5]
CLOSE = [64.0, 66.5, 64.0]


def has_latex() -> bool:
    """Whether pdflatex is on the PATH, with the packages that `table.tex` asks for."""
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        return False
    return subprocess.run(["kpsewhich", "booktabs.sty", "graphicx.sty"], capture_output=True).returncode == 0


def rows_of(**values: Sequence[float]) -> list[RowSummary]:
    """Summaries of full and of these rows, one Rank-1 per seed. `_` in a name is `-`."""
    named = {"full": FULL, **{row.replace("_", "-"): line for row, line in values.items()}}
    return summarise([record(row, seed, v) for row, line in named.items() for seed, v in enumerate(line)])


def below(points: float) -> list[float]:
    """Values below those of full by about this much in every seed."""
    return [value - points - 0.1 * seed for seed, value in enumerate(FULL)]


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("full", "Full"),
        ("source-model", "Source model"),
        ("-gmp", "w/o GMP"),
        ("-gmp-cmkd", "w/o GMP, CMKD"),
        ("-source-memory-warm-start", "w/o source memory, warm start"),
        ("-cd-itm", "w/o CD-ITM"),
        ("-align", "w/o align"),
        ("+gmp", "Baseline + GMP"),
        ("graph.propagate.k=5", "graph.propagate.k=5"),
        ("wide-and-deep", "wide-and-deep"),
    ],
)
def test_names_of_rows_in_a_paper(row: str, name: str) -> None:
    assert paper_name(row) == name


def test_only_a_mean_that_the_test_supports_is_bold() -> None:
    assert supported_best(rows_of(_gmp=below(5), _cmkd=below(9)), "", "rank_1") == 0
    close = rows_of(_gmp=below(5), _cmkd=CLOSE)
    assert supported_best(close, "", "rank_1") is None
    assert r"\textbf" not in compact_latex(close, TITLE, [])
    better = rows_of(_gmp=below(5), _cmkd=below(-9))
    best = supported_best(better, "", "rank_1")
    assert best is not None and better[best].row == "-cmkd"
    assert supported_best(summarise([record("full", 0, 70), record("-gmp", 0, 50)]), "", "rank_1") is None


def test_marked_rows_and_rows_with_target_labels_take_no_part() -> None:
    rows = rows_of(_gmp=below(5), supervised=below(-9))
    labelled = [dataclasses.replace(row, target_labels=row.row == "supervised") for row in rows]
    assert supported_best(labelled, "", "rank_1") == 0
    assert r"Supervised (target labels) & 7" in compact_latex(labelled, TITLE, [])


def test_the_compact_table_has_caption_label_and_the_notes_that_matter() -> None:
    notes = ["street → b (unlabelled).", "Seeds: 0, 1, 2.", "Changed spec: --set adapt.steps=5."]
    text = compact_latex(rows_of(_gmp=below(5)), TITLE, notes)
    assert r"\caption{Ablation of 95 \% \& more.}" in text and r"\label{tab:ablation-a-b}" in text
    assert "unlabelled" not in text
    assert "Seeds: 0, 1, 2." in text and "adapt.steps=5" in text and "Bold: better than every other row" in text
    head = r"Method & Rank-1 & mAP & $\Delta$ Rank-1 & $p$ \\"
    assert head in text
    assert text.isascii()
    assert r"w/o GMP & 60.1 {\scriptsize $\pm$ " in text
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    assert r"\hline" not in text


def test_the_full_table_has_every_column_and_note() -> None:
    notes = ["unlabelled", "Seeds: 0.", "Which?"]
    text = full_latex([*rows_of(_gmp=below(5)), *summarise([failed("-mlm", 0)])], TITLE, notes)
    assert "unlabelled. Seeds: 0. Which?" in text  # each note is a sentence
    assert text.count("{table*}") == 2  # over both columns of a page
    assert r"\label{tab:ablation-a-b-full}" in text and "unlabelled" in text
    assert "Method & runs & Rank-1 & Rank-5 & Rank-10 & mAP & mINP" in text
    assert "0 (1 of 1 failed)" in text


def test_one_seed_has_no_interval_in_latex() -> None:
    text = compact_latex(summarise([record("full", 0, 70), record("-gmp", 0, 60)]), TITLE, [])
    assert r"w/o GMP & 60.0 & 55.0 & $+$10.0 \\" in text and "n/a" not in text


def test_subtables_have_their_names_as_headings() -> None:
    rows = [dataclasses.replace(row, subtable=name) for name in ("a → b", "b → a") for row in rows_of(_gmp=below(5))]
    text = compact_latex(rows, TITLE, [])
    assert [match[1] for match in re.finditer(r"\\emph\{(.*?)\}", text)] == [
        r"a $\rightarrow$ b",
        r"b $\rightarrow$ a",
    ]
    assert text.count(r"\textbf{65.2}") == 2


GRID = {
    ("A", "B"): rows_of(source_model=below(5)),
    ("B", "A"): rows_of(source_model=CLOSE),
    ("A", "C_1"): rows_of(),
}


def test_a_grid_has_a_cell_for_each_pair() -> None:
    grid = Grid.of(GRID)
    assert grid is not None
    lines = [[c.strip() for c in line.strip("|").split("|")] for line in grid.to_markdown().splitlines()[:4]]
    assert lines[0] == ["source \\ target", "B", "A", "C_1"]
    assert lines[2:] == [["A", "65.2 (+5.1*)", "-", "65.2"], ["B", "-", "65.2 (+0.3)", "-"]]
    assert r"A & \textbf{65.2} ($+$5.1) & -- & 65.2 \\" in grid.to_latex()
    assert Grid.of({("A", "B"): rows_of()}) is None


def output(folder: Path) -> Path:
    """Output folder with three seeds of full and the source model, and the log of a launch."""
    folder.mkdir()
    records = Records(folder)
    for row, values in (("full", FULL), ("source-model", below(5))):
        for seed, value in enumerate(values):
            records.add({**record(row, seed, value), "git_revision": "1a2b" * 10})
    (folder / "config.yaml").write_text(to_yaml(apply(preset("tiny"), {"adapt.steps": 77, "data.source": "/x"})))
    launch = {"command": "gckd", "torch": "2.9", "driver's machine": "Linux x86_64, 2 cores"}
    (folder / "launches.json").write_text(json.dumps([launch]))
    return folder


def test_the_setup_states_only_what_the_records_have(tmp_path: Path) -> None:
    text = setup_paragraph(read_subtable(output(tmp_path / "out")))
    for part in (
        "The labelled source is street/ICFG-PEDES, the unlabelled target street/RSTPReid.",
        "3,000 captions as queries and 1,500 gallery images",
        "the preset tiny with adapt.steps = 77.",
        "1,400 steps of 64 pairs (optimiser muon, learning rate 0.003, weight decay 0.02)",
        "77 steps of 48 pairs of each domain",
        "3 seeds (0, 1, 2).",
        "The evaluated weights average the source model (0.4) and the student (0.6).",
        "chosen with target labels of development datasets",
        "two-sided paired t tests over seeds, Holm-corrected",
        "Software: torch 2.9.",
        f"Code: {'1a2b' * 3}.",
    ):
        assert part in text, part
    assert "bootstrap" not in text and "numpy" not in text  # no queries, and no version in the log


def test_labels_and_escapes() -> None:
    assert label_of("street-6/ICFG-PEDES → RSTPReid") == "street-6-icfg-pedes-rstpreid"
    assert escape("95 % of a_b") == r"95 \% of a\_b"
    assert escape("--set a=1 a-b ---") == "-{}-set a=1 a-b -{}-{}-"  # two hyphens are a dash in LaTeX
    assert escape("λ Ω |x|") == r"$\lambda$ $\Omega$ $|$x$|$"
    assert escape("猫 ς e\u0301") == "U+732B U+03C2 \xe9"


@pytest.mark.skipif(not has_latex(), reason="no LaTeX on this machine: no pdflatex, or not its packages")
def test_everything_compiles(tmp_path: Path) -> None:
    rows = rows_of(_gmp=below(5), supervised=below(-9), wide_=below(1))
    long = summarise([record("distill.matching.delta=0.8 and a long name", 0, 50.0)])
    notes = ["±, Δ, →, †: ~ ^ \\ # {x} <y> $ --set \u2212 ≤ | αλω ΓΩ 猫 éłß \u201c\u2026\u201d", "Seeds: 0, 1, 2."]
    several = [dataclasses.replace(row, subtable=f"{name} → x_1") for name in "ab" for row in rows]
    grid = Grid.of(GRID)
    assert grid is not None
    setup = escape(setup_paragraph(read_subtable(output(tmp_path / "out"))))
    parts = [compact_latex([*rows, *long], TITLE, notes), full_latex(several, TITLE, notes), grid.to_latex(), setup]
    document = "\n\n".join(
        [r"\documentclass[twocolumn]{article}\usepackage{booktabs,graphicx}\begin{document}", *parts]
    )
    document += r" See Tables~\ref{tab:ablation-a-b}, \ref{tab:ablation-a-b-full} and \ref{tab:cross-dataset}."
    (tmp_path / "paper.tex").write_text(document + "\n\\end{document}\n", encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    for _ in range(2):  # the second pass resolves references
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
    assert "undefined" not in done.stdout and "too large for page" not in done.stdout
    assert all(float(points) < 10 for points in re.findall(r"Overfull \\hbox \((.*?)pt", done.stdout))
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000

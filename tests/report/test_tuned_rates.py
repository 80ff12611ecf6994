"""Tuned rates in the report: every format states them and how they were chosen."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from gckd.config import preset, to_yaml
from gckd.errors import InputError
from gckd.report.gains import gain_sentences
from gckd.report.subtable import join_subtables, read_subtable
from gckd.report.table_report import _as_configured, write_report
from gckd.report.tuned_rates import TunedRate, caption_lines, load_rates, save_rates
from gckd.runs.records import Records
from tests.report.records import record

if TYPE_CHECKING:
    from pathlib import Path

RATE = preset("tiny").adapt.lr
CANDIDATES = (0.3 * RATE, RATE, 3 * RATE)


def tuned(chosen: float, *failed: float) -> TunedRate:
    return TunedRate(chosen, RATE, CANDIDATES, failed, "default", 1000)


RATES = {"full": tuned(CANDIDATES[0]), "-gmp": tuned(RATE, CANDIDATES[2])}


def fill(folder: Path) -> Path:
    """Output folder with tuned rows, of which full has another rate than configured."""
    records = Records(folder)
    edits = {
        "full": {"adapt.lr": CANDIDATES[0]},
        "source-model": {"adapt.steps": 0},
        "-gmp": {"graph.propagate": {"kind": "none"}},
    }
    for row, row_edits in edits.items():
        for seed in (0, 1):
            curve = [{"stage": "adapt", "step": 1, "name": "loss", "value": 1.0}]
            records.add(record(row, seed, 60.0 + len(row) + seed, edits=json.dumps(row_edits)), curve)
    (folder / "config.yaml").write_text(to_yaml(preset("tiny")))
    save_rates(RATES, folder)
    return folder


def test_rates_are_read_as_they_were_saved(tmp_path: Path) -> None:
    assert load_rates(tmp_path) == {}
    save_rates(RATES, tmp_path)
    assert load_rates(tmp_path) == RATES


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("[]", "content is not a JSON object"),
        ("{", "not JSON"),
        ('{"full": {"chosen": 0.1}}', "full lacks configured, candidates, failed, score, seed"),
    ],
)
def test_damaged_rates_are_refused(tmp_path: Path, damage: str, problem: str) -> None:
    (tmp_path / "tuned_rates.json").write_text(damage)
    with pytest.raises(InputError, match=rf"tuned_rates.json: damaged \({problem}.*repeat the command of the table"):
        load_rates(tmp_path)


def test_the_caption_states_score_seed_candidates_and_choice() -> None:
    rates = {
        "full": TunedRate(0.003, 0.001, (0.0003, 0.001, 0.003), (), "default", 1000),
        "source-model": None,
        "-gmp": TunedRate(0.001, 0.001, (0.0003, 0.001, 0.003), (0.003,), "default", 1000),
        "fast": TunedRate(0.02, 0.02, (0.006, 0.02, 0.06), (0.006, 0.02, 0.06), "default", 1000),
    }
    assert list(caption_lines(rates)) == [
        "Tuned rows: each row trains with its own learning rate adapt.lr. It is the candidate with the best label-free "
        "score (default of gckd tune) after the last step. Tuning runs have the seed 1000, which the table does not "
        "use, and read no target label.",
        "Tuned adapt.lr, from the candidates 0.0003, 0.001, 0.003: full 0.003, -gmp 0.001.",
        "Tuned adapt.lr, from the candidates 0.006, 0.02, 0.06: fast 0.02.",
        "Rows without tuning: source-model.",
        "The smallest or largest candidate was chosen in full; the best rate may be outside.",
        "Failed tuning runs: -gmp at 0.003, fast at 0.006, fast at 0.02, fast at 0.06.",
        "Every tuning run failed in fast, which keeps its configured rate.",
    ]
    assert list(caption_lines({"full": None, "-gmp": None})) == []


def test_every_format_states_the_rates_and_their_choice(tmp_path: Path) -> None:
    out = io.StringIO()
    rows = write_report(fill(tmp_path), Console(file=out, width=300))
    texts = {suffix: (tmp_path / f"table.{suffix}").read_text() for suffix in ("md", "csv")}
    texts["tex"] = (tmp_path / "table_full.tex").read_text()
    page = (tmp_path / "report.html").read_text().replace("<wbr>", "")
    shown = [f"{rate:g}" for rate in CANDIDATES]
    assert "tuned adapt.lr" in out.getvalue()
    for text in (texts["md"], texts["tex"], page):
        assert "tuned adapt.lr" in text
        assert "score (default of gckd tune)" in text and "seed 1000" in text
        assert f"from the candidates {', '.join(shown)}: full {shown[0]}, -gmp {shown[1]}." in text
    lines = {line["row"]: line for line in csv.DictReader(io.StringIO(texts["csv"]))}
    assert [lines[row]["tuned_lr"] for row in ("full", "source-model", "-gmp")] == [shown[0], "", shown[1]]
    columns = ("tuned_lr_candidates", "tuned_lr_score", "tuned_lr_seed")
    assert [lines["full"][name] for name in columns] == [" ".join(shown), "default", "1000"]
    assert "Tuned rows: each row has its own learning rate" in " ".join(gain_sentences({"a": rows, "b": rows}))


def test_tables_without_tuned_rows_do_not_mention_them(tmp_path: Path) -> None:
    (fill(tmp_path) / "tuned_rates.json").unlink()
    out = io.StringIO()
    rows = write_report(tmp_path, Console(file=out, width=300))
    shown = out.getvalue().partition("report: ")[0]  # the folder has the name of this test
    for text in (shown, *((tmp_path / f"table.{s}").read_text() for s in ("md", "tex", "csv"))):
        assert "tuned" not in text.lower()
    assert not any("Tuned" in sentence for sentence in gain_sentences({"a": rows}))


def test_joined_folders_have_the_rates_of_both(tmp_path: Path) -> None:
    a, b = (fill(tmp_path / name) for name in "ab")
    save_rates({"full": RATES["full"]}, a)
    (subtable,) = join_subtables([read_subtable(a), read_subtable(b)], mixed=False)
    assert subtable.rates == RATES


def test_a_tuned_rate_is_no_edit_to_a_check(tmp_path: Path) -> None:
    """A sweep of K with tuned rows is a sweep of K alone."""
    subtable = read_subtable(fill(tmp_path))
    edits = {r["row"]: json.loads(_as_configured(r, subtable)["edits"]) for r in subtable.records}
    assert edits == {
        "full": {},
        "source-model": {"adapt.steps": 0},
        "-gmp": {"graph.propagate": {"kind": "none"}},
    }
    save_rates({"-gmp": TunedRate(0.5, 0.25, (0.25, 0.5), (), "default", 1000)}, tmp_path)
    subtable = read_subtable(tmp_path)
    row = next(_as_configured(r, subtable) for r in subtable.records if r["row"] == "-gmp")
    assert json.loads(row["edits"]) == {"graph.propagate": {"kind": "none"}, "adapt.lr": 0.25}

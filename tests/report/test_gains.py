"""Gains across subtables: numbers, sentences and figure."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

from PIL import Image
from rich.console import Console

from gckd.report.gains import gain_sentences, write_gains
from gckd.report.summary import RowSummary, summarise
from tests.report.records import record

if TYPE_CHECKING:
    from pathlib import Path


def subtable(*gains: float) -> list[RowSummary]:
    """A subtable with these gains of full over -gmp, one per seed."""
    full = [record("full", seed, 70) for seed in range(len(gains))]
    return summarise([*full, *(record("-gmp", seed, 70 - gain) for seed, gain in enumerate(gains))])


SUBTABLES = {"shift-0": subtable(-3, -3.1, -3), "shift-0.5": subtable(5, 5.2, 5.1), "shift-1": subtable(4, -4, 1)}


def test_sentences_name_the_subtables_whose_interval_excludes_zero() -> None:
    assert gain_sentences(SUBTABLES) == [
        "Rank-1 of full against -gmp: better in shift-0.5; worse in shift-0; no significant difference in shift-1."
    ]
    one_seed = gain_sentences({"a": subtable(5.0)})  # without an interval
    assert one_seed == ["Rank-1 of full against -gmp: no significant difference in a."]


def test_gains_are_printed_and_written(tmp_path: Path) -> None:
    out = io.StringIO()
    write_gains(tmp_path, SUBTABLES, {}, "Where?", Console(file=out, width=160))
    text = (tmp_path / "gains.md").read_text()
    assert text.startswith("Where?")
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| shift")
    ]
    assert [(line[0], line[2], line[3].split()[0]) for line in cells] == [
        ("shift-0", "-gmp", "-3.0"),
        ("shift-0.5", "-gmp", "+5.1"),
        ("shift-1", "-gmp", "+0.3"),
    ]
    assert "better in shift-0.5" in out.getvalue()
    assert json.loads((tmp_path / "figures" / "gains.json").read_text())["sentences"] == gain_sentences(SUBTABLES)
    with Image.open(tmp_path / "figures" / "gains.png") as picture:
        assert picture.width > 900
    assert (tmp_path / "figures" / "gains.svg").read_text().count("<svg") == 1

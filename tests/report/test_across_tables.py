"""Gains of several tables: numbers, words and picture."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

from PIL import Image
from rich.console import Console

from gckd.report.across_tables import words, write_blocks
from gckd.report.summary import RowSummary, summarise
from tests.report.records import record

if TYPE_CHECKING:
    from pathlib import Path


def block(*gains: float) -> list[RowSummary]:
    """A table with the gains of full over -gmp, one a seed."""
    full = [record("full", seed, 70) for seed in range(len(gains))]
    return summarise([*full, *(record("-gmp", seed, 70 - gain) for seed, gain in enumerate(gains))])


BLOCKS = {"shift-0": block(-3, -3.1, -3), "shift-0.5": block(5, 5.2, 5.1), "shift-1": block(4, -4, 1)}


def test_words_say_where_an_interval_leaves_zero_out() -> None:
    assert words(BLOCKS) == [
        "Rank-1 of full against -gmp: better in shift-0.5; worse in shift-0; not told apart in shift-1."
    ]
    assert words({"a": block(5.0)}) == ["Rank-1 of full against -gmp: not told apart in a."]  # one seed, no interval


def test_what_is_written(tmp_path: Path) -> None:
    out = io.StringIO()
    write_blocks(tmp_path, BLOCKS, "Where?", Console(file=out, width=160))
    text = (tmp_path / "blocks.md").read_text()
    assert text.startswith("Where?")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| s")]
    assert [(line[0], line[2], line[3].split()[0]) for line in cells] == [
        ("shift-0", "-gmp", "-3.0"),
        ("shift-0.5", "-gmp", "+5.1"),
        ("shift-1", "-gmp", "+0.3"),
    ]
    assert "better in shift-0.5" in out.getvalue()
    assert json.loads((tmp_path / "figures" / "gains.json").read_text())["words"] == words(BLOCKS)
    with Image.open(tmp_path / "figures" / "gains.png") as picture:
        assert picture.width > 900
    assert (tmp_path / "figures" / "gains.svg").read_text().count("<svg") == 1

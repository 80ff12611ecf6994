"""Share of the gap between the source model and the supervised row, by hand."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from rich.console import Console

from gckd.config import apply, preset
from gckd.report.captions import caption
from gckd.report.component_table import cells, header, marks, to_csv, to_markdown
from gckd.report.gains import gain_sentences
from gckd.report.html.sections import results
from gckd.report.reference_rows import reads_target_labels
from gckd.report.screen_table import to_screen
from gckd.report.summary import RowSummary, summarise
from tests.report.records import failed, record

LABELS = '{"adapt.labels": "target", "graph.propagate": {"kind": "none"}}'


def runs(**rank_1: list[float]) -> list[dict[str, Any]]:
    """Records of rows by their Rank-1 for each seed; `_` in a name is `-`."""
    edits = {"supervised": LABELS, "source-model": '{"adapt.steps": 0}'}
    named = {name.replace("_", "-"): values for name, values in rank_1.items()}
    return [
        record(name, seed, value, edits=edits.get(name, "{}"))
        for name, values in named.items()
        for seed, value in enumerate(values)
    ]


def by_row(records: list[dict[str, Any]]) -> dict[str, RowSummary]:
    return {row.row: row for row in summarise(records)}


RUNS = runs(full=[62, 66], source_model=[50, 52], _gmp=[53, 52], supervised=[74, 78])


def test_the_share_is_a_quotient_of_mean_differences() -> None:
    """Gap (24 + 26) / 2 = 25. full: (12 + 14) / 2 = 13 of it; -gmp: (3 + 0) / 2 = 1.5 of it."""
    shares = {name: row.gap_closed for name, row in by_row(RUNS).items()}
    assert shares == {"full": 52.0, "-gmp": 6.0, "source-model": None, "supervised": None}


def test_a_row_below_the_source_model_has_a_negative_share() -> None:
    worse = by_row(runs(full=[45, 45], source_model=[50, 50], supervised=[60, 61]))
    assert worse["full"].gap_closed == pytest.approx(100 * -5 / 10.5)


def test_only_common_seeds_count() -> None:
    """Seed 1 of full failed, and seed 2 of it has no supervised run: seed 0 alone, (62 - 50) / (74 - 50)."""
    records = [*RUNS, record("full", 2, 99)]
    records[1] = failed("full", 1)
    assert by_row(records)["full"].gap_closed == pytest.approx(50.0)


def test_one_seed_has_a_share() -> None:
    assert by_row(runs(full=[62], source_model=[50], supervised=[74]))["full"].gap_closed == 50.0


@pytest.mark.parametrize(
    ("supervised", "size"),
    [
        ([49.0, 49.5], "-0.8 ± 3.2"),  # differences -1 and -0.5: s = 0.354, 12.706 s / sqrt(2) = 3.18
        ([51.0, 60.0], "+5.5 ± 57.2"),  # 1 and 10: s = 6.364, half width 57.2, so that the interval has 0
        ([50.0, 50.0], "+0.0 ± 0.0"),
    ],
    ids=["below", "uncertain", "equal"],
)
def test_without_a_gap_the_caption_says_why_there_is_no_share(supervised: list[float], size: str) -> None:
    records = runs(full=[62, 66], source_model=[50, 50], supervised=supervised)
    rows = summarise(records)
    assert [row.gap_closed for row in rows] == [None] * 3
    assert "gap closed" not in header(rows) and "gap_closed" not in to_csv(rows)
    reason = f"supervised - source-model is not above 0 with 95 % confidence ({size} points of Rank-1)"
    assert f"Gap closed: not given, because {reason}." in caption(records, rows, preset("tiny"))


def test_without_a_supervised_row_nothing_is_said_about_a_gap() -> None:
    records = runs(full=[62, 66], source_model=[50, 52])
    assert not any("ap closed" in line for line in caption(records, summarise(records), preset("tiny")))
    assert summarise(records)[0].gap_closed is None


def test_every_format_has_the_share_and_the_label() -> None:
    rows = summarise(RUNS)
    assert header(rows)[-1] == "gap closed"
    assert [line[-1] for line in cells(rows)] == ["52 %", "", "6 %", ""]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(to_screen(rows, console.width))
    (section,) = results(rows, [], [], [])
    assert section.table is not None
    html = " ".join(cell for line in section.table.body for cell in line)
    for text in (console.export_text(), to_markdown(rows, []), html):
        assert "supervised (target labels)" in text and "52 %" in text
    lines = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert [line["gap_closed"] for line in lines] == ["52", "", "6", ""]
    assert [line["target_labels"] for line in lines] == ["0", "0", "0", "1"]


def test_the_supervised_row_is_not_compared_for_the_best_mean() -> None:
    rows = summarise(RUNS)
    assert {rows[place].row: mark for (place, column), mark in marks(rows).items() if column == 2} == {"full": "best"}


def test_the_supervised_row_takes_no_part_in_the_correction_of_p_and_the_source_model_does() -> None:
    """Holm over two tests: twice the smaller p, and at least that for the larger."""
    full, others = [62.0, 66, 65], {"source_model": [50.0, 52, 50], "_gmp": [53.0, 58, 52]}
    single = {name: summarise(runs(full=full, **{name: values}))[1].p["rank_1"] for name, values in others.items()}
    small, large = sorted(single, key=lambda name: single[name])
    expected = {small: 2 * single[small], large: max(single[large], 2 * single[small])}
    table = by_row(runs(full=full, **others, supervised=[74, 78, 75]))
    assert {name: table[name.replace("_", "-")].p["rank_1"] for name in others} == pytest.approx(expected)
    assert table["supervised"].p == {}
    assert table["supervised"].to_full["rank_1"].mean == pytest.approx(-34 / 3)


def test_the_caption_states_the_family_and_the_use_of_target_labels() -> None:
    rows = summarise(RUNS)
    text = " ".join(caption(RUNS, rows, apply(preset("tiny"), {"adapt.steps": 9})))
    assert "Holm-corrected over the rows that have a p, including source-model." in text
    assert "Target labels: supervised reads them. It trains on the labelled train split of the target" in text
    assert "It is an upper reference, not a method" in text
    assert "The gap is +25.0 ± 12.7 points of Rank-1." in text
    assert "labelled batches of the target in supervised (target labels)" in text
    assert "no adaptation, only the source model, in source-model" in text


def test_gains_leave_the_supervised_row_out_and_state_the_share() -> None:
    sentences = gain_sentences({"one": summarise(RUNS), "two": summarise(RUNS[:4])})
    assert [text.partition(":")[0] for text in sentences] == [
        "Rank-1 of full against source-model",
        "Full closes this share of the gap between source-model and supervised (target labels)",
    ]
    assert sentences[-1].endswith(": 52 % in one.")


@pytest.mark.parametrize(
    ("edits", "expected"),
    [(LABELS, True), ('{"adapt": {"labels": "target"}}', True), ('{"adapt.steps": 0}', False), ("", False)],
)
def test_rows_that_train_with_target_labels_are_recognised_by_their_edits(edits: str, expected: bool) -> None:
    assert reads_target_labels({"edits": edits}) == expected

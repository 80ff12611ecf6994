"""Summaries of rows, from run records."""

from __future__ import annotations

import pytest

from gckd.report import summary
from gckd.report.summary import summarise
from gckd.runs import plan, records
from tests.report.records import failed, record


def test_the_reference_rows_have_their_places_and_the_others_keep_their_order() -> None:
    supervised = record("supervised", 0, 80, edits='{"adapt.labels": "target"}')
    methods = [record("-cmkd", 0, 60), record("full", 0, 70), record("-gmp", 0, 65)]
    rows = summarise([supervised, *methods, record("source-model", 0, 50)])
    assert [row.row for row in rows] == ["full", "source-model", "-cmkd", "-gmp", "supervised"]


def test_means_and_differences() -> None:
    summaries = summarise(
        [record("full", s, 70.0 + s) for s in range(3)] + [record("-gmp", s, 68.0 + s) for s in range(3)]
    )
    full, without = summaries
    assert full.metrics["rank_1"].mean == pytest.approx(71.0)
    assert full.metrics["map"].mean == pytest.approx(66.0)
    assert full.to_full == {}
    assert {name: e.mean for name, e in without.to_full.items()} == {"rank_1": 2.0, "map": 2.0}
    assert without.to_full["rank_1"].half_width == 0


def test_failed_runs_are_counted_but_enter_no_number() -> None:
    full, without = summarise(
        [record("full", 0, 70), failed("full", 1), record("full", 2, 74), failed("-gmp", 0), record("-gmp", 2, 70)]
    )
    assert (full.seeds, full.failed, full.runs) == ((0, 2), 1, "2 (1 of 3 failed)")
    assert full.metrics["rank_1"].mean == 72
    assert (without.to_full["rank_1"].mean, without.to_full["rank_1"].n) == (4, 1)  # seed 2 alone


def test_a_row_without_a_finished_run_has_no_numbers() -> None:
    _, without = summarise([record("full", 0, 70), failed("-gmp", 0)])
    assert (without.metrics, without.to_full, without.runs) == ({}, {}, "0 (1 of 1 failed)")


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ("icfg-pedes -> rstpreid", [59.95, 58.2, 55.0, None]),
        ("rstpreid -> icfg-pedes", [None] * 4),
        ("", [None] * 4),
    ],
)
def test_published_numbers_are_shown_only_for_their_datasets(published: str, expected: list[float | None]) -> None:
    rows = ("full", "-gmp", "-gmp-cmkd", "-cmkd")
    assert [r.published for r in summarise([record(row, 0, 60, published=published) for row in rows])] == expected


def test_one_run_on_other_datasets_removes_the_published_numbers() -> None:
    runs = [record("full", 0, 60, published="icfg-pedes -> rstpreid"), record("full", 1, 60)]
    assert summarise(runs)[0].published is None


def test_report_and_records_use_the_same_names() -> None:
    assert tuple(summary.METRICS) == records.METRICS
    assert plan.FULL == summary.FULL


def test_p_values_are_corrected_over_the_rows() -> None:
    """Two rows with the same differences: each p is twice that of a single row, since that is at most 1."""
    full = [record("full", s, 70.0 + s) for s in range(3)]
    rows = {name: [record(name, s, 68.0 + s**2 / 8) for s in range(3)] for name in ("-gmp", "-cmkd")}
    (single,) = summarise([*full, *rows["-gmp"]])[1:]
    both = summarise([*full, *rows["-gmp"], *rows["-cmkd"]])[1:]
    assert 0 < single.p["rank_1"] < 0.5
    assert [row.p["rank_1"] for row in both] == pytest.approx([2 * single.p["rank_1"]] * 2)

"""The finding of a table in a sentence."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from scipy import stats

from gckd.report.finding import finding, headline, verdict
from gckd.report.summary import RowSummary, summarise
from tests.report.records import failed, record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FULL = [65.0, 66.0, 64.5]


def rows_of(**values: Sequence[float]) -> list[RowSummary]:
    """Summaries of full and of these rows, one value of Rank-1 per seed. `_` in a name is written `-`."""
    named: Mapping[str, Sequence[float]] = {"full": FULL, **{row.replace("_", "-"): v for row, v in values.items()}}
    return summarise([record(row, seed, v) for row, line in named.items() for seed, v in enumerate(line)])


def test_a_better_full_method_beats_the_source_model_with_interval_and_p() -> None:
    source = [54.0, 56.0, 54.0]
    test = stats.ttest_rel(FULL, source)
    assert test.pvalue < 0.001
    low, high = test.confidence_interval(0.95)
    assert finding(rows_of(source_model=source)) == (
        f"full beats the source model by 10.5 Rank-1 points (95 % interval {low:.1f} to {high:.1f}), "
        "p < 0.001 (3 seeds)."
    )


def test_a_small_difference_is_not_distinguishable() -> None:
    text = finding(rows_of(source_model=[64.0, 66.5, 64.0]))
    assert text.startswith("full is not distinguishable from the source model: +0.3 Rank-1 points (95 % interval -")
    assert "beats" not in text


def test_a_worse_full_method_is_said_to_be_worse() -> None:
    text = finding(rows_of(source_model=[75.0, 75.9, 74.6]))
    assert text.startswith("full is worse than the source model by 10.0 Rank-1 points (95 % interval 9.")


def test_one_seed_has_no_test() -> None:
    rows = summarise([record("full", 0, 65.0), record("source-model", 0, 66.0)])
    assert finding(rows) == "full is 1.0 Rank-1 points below the source model (one seed, so no test)."


def test_equal_results_are_no_difference() -> None:
    assert finding(rows_of(source_model=FULL)).startswith(
        "full has the Rank-1 of the source model (the same in 3 seeds"
    )


def test_the_verdict_is_that_of_the_corrected_test() -> None:
    """p is 0.02 to 0.05 alone and above 0.05 after the correction; then the sentence says so."""
    close = [63.0, 64.5, 61.9]
    alone, corrected = rows_of(_gmp=close), rows_of(_gmp=close, _cmkd=[60.0, 70.0, 64.0], _ema=[61.0, 69.0, 64.0])
    assert verdict(alone[1]) == "better"
    assert verdict(corrected[1]) == "open"
    assert "not corrected for the number of rows" in finding(corrected)


def test_other_rows_are_listed_by_the_result_of_their_test() -> None:
    text = finding(rows_of(_gmp=[60.0, 61.1, 59.4], source_model=[50.0, 51.1, 49.4], _cmkd=[64.0, 66.5, 64.0]))
    assert text.endswith("; it beats -gmp and is not distinguishable from -cmkd.")


def test_marked_rows_and_rows_with_target_labels_are_left_out() -> None:
    full, other = rows_of(supervised=[80.0, 81.1, 79.4])
    for row in (dataclasses.replace(other, marked=True), dataclasses.replace(other, target_labels=True)):
        assert finding([full, row]).startswith("full reaches Rank-1 65.2 and mAP 60.2")


def test_without_a_finished_run_of_full_nothing_is_compared() -> None:
    rows = summarise([failed("full", 0), record("source-model", 0, 50.0)])
    assert finding(rows) == "No run of full has finished, so no row can be compared with it."


def test_the_headline_of_several_subtables_counts_them() -> None:
    better = [dataclasses.replace(r, subtable="a → b") for r in rows_of(source_model=[54.0, 55.1, 53.4])]
    equal = [dataclasses.replace(r, subtable="b → a") for r in rows_of(source_model=[64.0, 66.5, 64.0])]
    assert headline([*better, *equal]) == (
        "full beats the source model in 1 of 2 subtables and is not distinguishable from it in 1 (Rank-1, p below "
        "0.05)."
    )
    assert headline(better) == finding(better)

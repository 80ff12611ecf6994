"""Finding of a table: the difference of the full method to the source model and to the other rows, in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gckd.report.reference_rows import SOURCE_MODEL
from gckd.report.statistics import stated_p
from gckd.report.summary import FULL, METRICS, RowSummary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gckd.report.statistics import Estimate

LEVEL = 0.05  # of the tests
METRIC = "rank_1"
BETTER, WORSE, OPEN, UNTESTED = "better", "worse", "open", "untested"
BOLD_NOTE = (
    f"Bold: better than every other row of its table by the paired test (Holm-corrected p < {LEVEL:g}; only Rank-1 and "
    "mAP are tested)."
)


def verdict(row: RowSummary, metric: str = METRIC) -> str:
    """Result of the test of full against a row: `BETTER` (full is), `WORSE`, `OPEN` (p >= 0.05) or `UNTESTED`."""
    p, difference = row.p.get(metric), row.to_full.get(metric)
    if p is None or difference is None:
        return UNTESTED
    if p >= LEVEL:
        return OPEN
    return BETTER if difference.mean > 0 else WORSE


def supported_best(rows: Sequence[RowSummary], subtable: str, metric: str) -> int | None:
    """Place of the row of a subtable that is better than every other by the tests of `metric`; None without one.

    Every test compares a row with full. Another row than full is best if it beats full, and full beats all others.
    Marked rows, and rows that train with target labels, cannot be compared.
    """
    places = [place for place, row in enumerate(rows) if row.subtable == subtable]
    places = [p for p in places if metric in rows[p].metrics and not (rows[p].marked or rows[p].target_labels)]
    others = [place for place in places if rows[place].row != FULL]
    full = next((place for place in places if rows[place].row == FULL), None)
    winners = [place for place in others if verdict(rows[place], metric) == WORSE]
    losers = [place for place in others if verdict(rows[place], metric) == BETTER]
    if full is None or not others or len(winners) > 1 or len(winners) + len(losers) < len(others):
        return None
    return winners[0] if winners else full


def finding(rows: Sequence[RowSummary]) -> str:
    """Sentence about the rows of one subtable.

    It compares full with the source model first. Marked rows and rows that train with target labels are left out.
    """
    full = next((row for row in rows if row.row == FULL), None)
    if full is None or METRIC not in full.metrics:
        return "No run of full has finished, so no row can be compared with it."
    compared = sorted(_compared(rows), key=lambda row: row.row != SOURCE_MODEL)
    if not compared:
        metrics = " and ".join(f"{METRICS[name]} {full.metrics[name].mean:.1f}" for name in (METRIC, "map"))
        return f"full reaches {metrics} on the test split of the target ({_seeds(full.metrics[METRIC].n)})."
    first, *others = compared
    return f"full {_clause(first)}{_others(others)}."


def headline(rows: Sequence[RowSummary]) -> str:
    """Finding of the whole table. With several subtables: the number of those in which full beats the source model."""
    by_subtable: dict[str, list[RowSummary]] = {}
    for row in rows:
        by_subtable.setdefault(row.subtable, []).append(row)
    if len(by_subtable) == 1:
        return finding(rows)
    results = [
        next((verdict(row) for row in subtable if row.row == SOURCE_MODEL), UNTESTED)
        for subtable in by_subtable.values()
    ]
    parts = [f"beats the source model in {results.count(BETTER)} of {len(results)} subtables"]
    words = {OPEN: "is not distinguishable from it in", WORSE: "is worse in", UNTESTED: "is not tested in"}
    parts += [f"{text} {results.count(result)}" for result, text in words.items() if result in results]
    return f"full {_joined(parts)} ({METRICS[METRIC]}, p below {LEVEL:g})."


def _compared(rows: Sequence[RowSummary]) -> list[RowSummary]:
    return [row for row in rows if METRIC in row.to_full and not (row.marked or row.target_labels)]


def _clause(row: RowSummary) -> str:
    """`beats the source model by 10.8 Rank-1 points (95 % interval 7.5 to 14.1), p = 0.005 (3 seeds)`."""
    difference, name = row.to_full[METRIC], _name(row.row)
    size = f"{abs(difference.mean):.1f} {METRICS[METRIC]} points"
    result = verdict(row)
    if result == UNTESTED:
        reason = "one seed, so no test" if difference.n == 1 else f"the same in {_seeds(difference.n)}, so no test"
        if difference.mean == 0:
            return f"has the {METRICS[METRIC]} of {name} ({reason})"
        side = "above" if difference.mean > 0 else "below"
        return f"is {size} {side} {name} ({reason})"
    numbers = f"{_interval(difference, result)}, {stated_p(row.p[METRIC])} ({_seeds(difference.n)})"
    if result == BETTER:
        return f"beats {name} by {size} {numbers}"
    if result == WORSE:
        return f"is worse than {name} by {size} {numbers}"
    return f"is not distinguishable from {name}: {difference.mean:+z.1f} {METRICS[METRIC]} points {numbers}"


def _interval(difference: Estimate, result: str) -> str:
    """`(95 % interval 7.5 to 14.1)`; with a remark if it excludes 0 though the corrected test does not."""
    half_width = difference.half_width or 0.0
    low, high = difference.mean - half_width, difference.mean + half_width
    sign = "" if result == BETTER else "+"
    if result == WORSE:
        low, high, sign = -high, -low, ""
    remark = ", not corrected for the number of rows" if result == OPEN and low * high > 0 else ""
    return f"(95 % interval {low:{sign}z.1f} to {high:{sign}z.1f}{remark})"


def _others(rows: Sequence[RowSummary]) -> str:
    """Clause about the remaining rows: in full for a single one, else by the results of their tests."""
    if not rows:
        return ""
    if len(rows) == 1:
        return f"; it {_clause(rows[0])}"
    names: Mapping[str, list[str]] = {result: [] for result in (BETTER, OPEN, WORSE, UNTESTED)}
    for row in rows:
        names[verdict(row)].append(_name(row.row))
    words = {
        BETTER: "beats",
        OPEN: "is not distinguishable from",
        WORSE: "is worse than",
        UNTESTED: "is not tested against",
    }
    return f"; it {_joined([f'{words[result]} {_joined(listed)}' for result, listed in names.items() if listed])}"


def _name(row: str) -> str:
    return "the source model" if row == SOURCE_MODEL else row


def _seeds(count: int) -> str:
    return f"{count} seeds" if count > 1 else "one seed"


def _joined(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]

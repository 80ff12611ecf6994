"""Small tables of bootstrap intervals: over seeds, and over queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gckd.report.bootstrap import MIN_SEEDS, QUERY_RESAMPLES, SEED_RESAMPLES
from gckd.report.small_table import SmallTable
from gckd.report.summary import DIFFERENCES, METRICS, RowSummary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gckd.report.bootstrap import Interval
    from gckd.report.statistics import Estimate

_METRICS = [METRICS[name] for name in DIFFERENCES]
_DIFFERENCES = [f"Δ {name}" for name in _METRICS]
_OVER_SEEDS = (
    "Over seeds. SD: sample standard deviation. In brackets: 95 % bootstrap interval of the mean (percentiles of "
    f"{SEED_RESAMPLES:,} resamples; at least {MIN_SEEDS} seeds). It is too narrow for few seeds: with normally "
    "distributed values it contains the true mean in 75 % of cases with 3 seeds, 84 % with 5 and 90 % with 10. Quote "
    "the ± of the table above instead."
)
_OVER_QUERIES = (
    "Over queries. 95 % bootstrap interval over the persons in the queries; each person is drawn with all of its "
    f"captions (percentiles of {QUERY_RESAMPLES:,} resamples, which all rows share). The trained models are fixed: "
    "this interval covers the choice of queries, not the choice of seeds."
)


def interval_tables(rows: Sequence[RowSummary]) -> Iterator[SmallTable]:
    """The tables for which at least one row has a number."""
    seed_columns = [*(column for name in _METRICS for column in (f"{name} SD", name)), *_DIFFERENCES]
    query_cells = [[interval_text(e.over_queries) if e else "" for e in _estimates(row)] for row in rows]
    for title, cells, columns, caption in (
        ("Over seeds", [_seed_cells(row) for row in rows], seed_columns, _OVER_SEEDS),
        ("Over queries", query_cells, [*_METRICS, *_DIFFERENCES], _OVER_QUERIES),
    ):
        if any(map(any, cells)):
            subtable_column = ["subtable"] if any(row.subtable for row in rows) else []
            names = [[row.subtable, row.label] if subtable_column else [row.label] for row in rows]
            lines = [[*name, *line] for name, line in zip(names, cells, strict=True)]
            yield SmallTable(title, [*subtable_column, "row", *columns], lines, caption)


def interval_text(interval: Interval | None) -> str:
    """`[69.1, 70.4]`; empty for None."""
    return "" if interval is None else f"[{interval.low:.1f}, {interval.high:.1f}]"


def _estimates(row: RowSummary) -> list[Estimate | None]:
    return [*(row.metrics.get(name) for name in DIFFERENCES), *(row.to_full.get(name) for name in DIFFERENCES)]


def _seed_cells(row: RowSummary) -> list[str]:
    intervals = [interval_text(e.over_seeds) if e else "" for e in _estimates(row)]
    deviations = [row.metrics[name].deviation if name in row.metrics else None for name in DIFFERENCES]
    deviation_cells = ["" if value is None else f"{value:.1f}" for value in deviations]
    count = len(DIFFERENCES)
    metric_cells = [cell for pair in zip(deviation_cells, intervals[:count], strict=True) for cell in pair]
    return [*metric_cells, *intervals[count:]]

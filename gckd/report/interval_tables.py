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
_INTERVALS = [f"{prefix}{name}, 95 %" for prefix in ("", "Δ ") for name in _METRICS]
_OVER_SEEDS = (
    "Over seeds. SD: sample standard deviation. In brackets: 95 % bootstrap interval of the mean (percentiles of "
    f"{SEED_RESAMPLES:,} resamples; at least {MIN_SEEDS} seeds). It is too narrow for few seeds: with normally "
    "distributed values it contains the true mean in 75 % of cases with 3 seeds, 84 % with 5 and 90 % with 10. Quote "
    "the ± of the table above instead."
)
_OVER_QUERIES = (
    "Over queries. 95 % bootstrap interval over the persons in the queries; each person is drawn with all of its "
    f"captions (percentiles of {QUERY_RESAMPLES:,} resamples, which all rows share). The trained models are fixed: "
    "this interval covers the choice of queries, not the choice of seeds. Why it differs from the interval over seeds: "
    "there, training is repeated and the queries stay the same; here, the models stay and other persons are queried. "
    "The former is wide where results depend on the seed, the latter where the test split is small. Neither covers the "
    "other source of chance; a claim about a method needs the interval over seeds."
)


def interval_tables(rows: Sequence[RowSummary]) -> Iterator[SmallTable]:
    """The two tables, without empty columns; a table without any number is left out."""
    seed_columns = [*(f"{name} SD" for name in _METRICS), *_INTERVALS]
    query_cells = [[interval_text(e.over_queries) if e else "" for e in _estimates(row)] for row in rows]
    for title, cells, columns, caption in (
        ("Over seeds", [_seed_cells(row) for row in rows], seed_columns, _OVER_SEEDS),
        ("Over queries", query_cells, _INTERVALS, _OVER_QUERIES),
    ):
        filled = [place for place in range(len(columns)) if any(line[place] for line in cells)]
        if filled:
            subtable_column = ["subtable"] if any(row.subtable for row in rows) else []
            names = [[row.subtable, row.label] if subtable_column else [row.label] for row in rows]
            lines = [[*name, *(line[place] for place in filled)] for name, line in zip(names, cells, strict=True)]
            yield SmallTable(title, [*subtable_column, "row", *(columns[place] for place in filled)], lines, caption)


def interval_text(interval: Interval | None) -> str:
    """`[69.1, 70.4]`; empty for None."""
    return "" if interval is None else f"[{interval.low:.1f}, {interval.high:.1f}]"


def _estimates(row: RowSummary) -> list[Estimate | None]:
    return [*(row.metrics.get(name) for name in DIFFERENCES), *(row.to_full.get(name) for name in DIFFERENCES)]


def _seed_cells(row: RowSummary) -> list[str]:
    deviations = [row.metrics[name].deviation if name in row.metrics else None for name in DIFFERENCES]
    intervals = [interval_text(e.over_seeds) if e else "" for e in _estimates(row)]
    return [*("" if value is None else f"{value:.1f}" for value in deviations), *intervals]

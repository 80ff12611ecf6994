"""Summary of a row of the component table, from its run records."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from gckd.report.bootstrap import Interval, seed_bootstrap
from gckd.report.published import published_rank_1
from gckd.report.queries import Quantity, QueriesOfRuns, query_bootstrap
from gckd.report.reference_rows import SOURCE_MODEL, gap_closed, reads_target_labels
from gckd.report.statistics import Estimate, estimate, holm, paired_differences, paired_p
from gckd.report.tuned_rates import TunedRate

METRICS = {"rank_1": "Rank-1", "rank_5": "Rank-5", "rank_10": "Rank-10", "map": "mAP", "minp": "mINP"}
DIFFERENCES = ("rank_1", "map")
FULL = "full"

Record = Mapping[str, Any]
ValuesOfRows = Mapping[str, Mapping[int, float]]  # of one metric: row -> seed of a finished run -> percent


@dataclass(frozen=True)
class RowSummary:
    """Metrics of a row over seeds (percent), and its differences to the full row (percentage points)."""

    row: str
    seeds: tuple[int, ...]  # of the finished runs
    failed: int  # number of failed runs
    metrics: Mapping[str, Estimate]  # empty if every run failed
    to_full: Mapping[str, Estimate]  # full - row, paired by seed; empty for the full row
    p: Mapping[str, float]  # paired t test of equal means, Holm-corrected over the rows without target labels
    published: float | None  # Rank-1 that the paper reports for these datasets
    marked: bool = False  # whether its code, plugins, data or budget differ from those of the full row
    subtable: str = ""  # name of the subtable; empty if there is just one
    target_labels: bool = False  # whether it trains with target labels: an upper reference, not a method
    gap_closed: float | None = None  # percent of the gap in Rank-1 between the reference rows; None: not defined
    tuned: TunedRate | None = None  # learning rate of its own; None: that of its config

    @property
    def runs(self) -> str:
        """`3`, or `1 (2 of 3 failed)`."""
        done = len(self.seeds)
        return f"{done} ({self.failed} of {done + self.failed} failed)" if self.failed else str(done)

    @property
    def label(self) -> str:
        """Name of the row in a table."""
        return self.row + " (target labels)" * self.target_labels + " †" * self.marked


def summarise(records: Sequence[Record], queries: QueriesOfRuns | None = None) -> list[RowSummary]:
    """One summary for each row: full, the source model, the others in the order of `records`, rows with target labels.

    Args:
        records: of one subtable.
        queries: of the runs that have them; None: no intervals over queries.
    """
    with_labels = {str(r["row"]) for r in records if reads_target_labels(r)}
    names = dict.fromkeys(str(r["row"]) for r in records)
    rows = sorted(names, key=lambda row: (row != FULL, row != SOURCE_MODEL, row in with_labels))
    values = {name: {row: values_by_seed(records, row, name) for row in rows} for name in METRICS}
    p_values = {name: _p_values(values[name], rows=set(rows) - with_labels) for name in DIFFERENCES}
    shares = gap_closed(values["rank_1"])
    seeds = {row: tuple(sorted(by_seed)) for row, by_seed in values[DIFFERENCES[0]].items()}
    intervals = query_bootstrap(queries or {}, seeds, FULL)
    return [
        RowSummary(
            row=row,
            seeds=seeds[row],
            failed=sum(r["row"] == row and r["status"] != "done" for r in records),
            metrics=_metrics(row, values, intervals),
            to_full=_to_full(row, values, intervals),
            p={name: by_row[row] for name, by_row in p_values.items() if row in by_row},
            published=published_rank_1(records, row),
            target_labels=row in with_labels,
            gap_closed=shares.get(row),
        )
        for row in rows
    ]


def _p_values(values: ValuesOfRows, rows: Set[str]) -> dict[str, float]:
    """Row -> p value corrected over `rows`, where it is defined."""
    raw = {row: paired_p(values.get(FULL, {}), by_seed) for row, by_seed in values.items() if row in rows - {FULL}}
    return holm({row: p for row, p in raw.items() if p is not None})


def values_by_seed(records: Sequence[Record], row: str, metric: str) -> dict[int, float]:
    """Seed -> metric in percent, of the finished runs of a row."""
    return {r["seed"]: r[metric] for r in records if r["row"] == row and r["status"] == "done"}


def _metrics(
    row: str, values: Mapping[str, ValuesOfRows], over_queries: Mapping[Quantity, Interval]
) -> dict[str, Estimate]:
    columns = {name: list(values[name][row].values()) for name in METRICS}
    return _estimates(columns, {name: over_queries.get(Quantity(row, name, False)) for name in columns})


def _to_full(
    row: str, values: Mapping[str, ValuesOfRows], over_queries: Mapping[Quantity, Interval]
) -> dict[str, Estimate]:
    if row == FULL:
        return {}
    columns = {name: paired_differences(values[name].get(FULL, {}), values[name][row]) for name in DIFFERENCES}
    return _estimates(columns, {name: over_queries.get(Quantity(row, name, True)) for name in columns})


def _estimates(columns: Mapping[str, list[float]], over_queries: Mapping[str, Interval | None]) -> dict[str, Estimate]:
    """Estimate of each column of values over the same seeds; empty columns are left out."""
    over_seeds = seed_bootstrap(columns)
    return {
        name: dataclasses.replace(estimate(values), over_seeds=over_seeds.get(name), over_queries=over_queries[name])
        for name, values in columns.items()
        if values
    }

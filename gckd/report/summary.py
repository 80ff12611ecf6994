"""Run records -> one summary a row of the component table."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gckd.report.published import published_rank_1
from gckd.report.queries import Number, PerRun, over_queries
from gckd.report.statistics import Estimate, Interval, estimate, holm, over_seeds, paired_differences, paired_p

METRICS = {"rank_1": "Rank-1", "rank_5": "Rank-5", "rank_10": "Rank-10", "map": "mAP", "minp": "mINP"}
DIFFERENCES = ("rank_1", "map")
FULL = "full"

Record = Mapping[str, Any]
Values = Mapping[str, Mapping[int, float]]  # of one metric: row -> seed of a finished run -> percent


@dataclass(frozen=True)
class RowSummary:
    """One row: its metrics over seeds (percent), and what the full row has more (percentage points)."""

    row: str
    seeds: tuple[int, ...]  # of the finished runs
    failed: int
    metrics: Mapping[str, Estimate]  # empty when every run failed
    to_full: Mapping[str, Estimate]  # full - row, paired by seed; empty for the full row
    p: Mapping[str, float]  # of the paired t test that they are alike, corrected over the rows; where there is one
    published: float | None  # Rank-1 that the paper reports for these datasets
    marked: bool = False  # of other code, data or budget than the full row
    block: str = ""  # what the row is compared within, where a table has several such

    @property
    def runs(self) -> str:
        """`3`, or `1 (2 of 3 failed)`."""
        done = len(self.seeds)
        return f"{done} ({self.failed} of {done + self.failed} failed)" if self.failed else str(done)

    @property
    def label(self) -> str:
        """The row as a table calls it."""
        return f"{self.row} †" if self.marked else self.row


def summarise(records: Sequence[Record], queries: PerRun | None = None) -> list[RowSummary]:
    """One summary for each row, the full row first, the others in the order they stand in `records`.

    Args:
        queries: of the runs that kept them; without, there are no intervals over queries.
    """
    rows = sorted({str(r["row"]): None for r in records}, key=lambda row: row != FULL)
    values = {name: {row: _by_seed(records, row, name) for row in rows} for name in METRICS}
    tested = {name: _p_values(values[name]) for name in DIFFERENCES}
    seeds = {row: tuple(sorted(own)) for row, own in values[DIFFERENCES[0]].items()}
    intervals = over_queries(queries or {}, seeds, FULL)
    return [
        RowSummary(
            row=row,
            seeds=seeds[row],
            failed=sum(r["row"] == row and r["status"] != "done" for r in records),
            metrics=_metrics(row, values, intervals),
            to_full=_to_full(row, values, intervals),
            p={name: found[row] for name, found in tested.items() if row in found},
            published=published_rank_1(records, row),
        )
        for row in rows
    ]


def _p_values(values: Values) -> dict[str, float]:
    """Row -> corrected p, where there is one."""
    raw = {row: paired_p(values.get(FULL, {}), own) for row, own in values.items() if row != FULL}
    return holm({row: p for row, p in raw.items() if p is not None})


def _by_seed(records: Sequence[Record], row: str, metric: str) -> dict[int, float]:
    return {r["seed"]: r[metric] for r in records if r["row"] == row and r["status"] == "done"}


def _metrics(row: str, values: Mapping[str, Values], over: Mapping[Number, Interval]) -> dict[str, Estimate]:
    own = {name: list(values[name][row].values()) for name in METRICS}
    return _estimates(own, {name: over.get(Number(row, name, False)) for name in own})


def _to_full(row: str, values: Mapping[str, Values], over: Mapping[Number, Interval]) -> dict[str, Estimate]:
    if row == FULL:
        return {}
    gains = {name: paired_differences(values[name].get(FULL, {}), values[name][row]) for name in DIFFERENCES}
    return _estimates(gains, {name: over.get(Number(row, name, True)) for name in gains})


def _estimates(values: Mapping[str, list[float]], over: Mapping[str, Interval | None]) -> dict[str, Estimate]:
    """Of values of the same seeds; none where there are no seeds."""
    drawn = over_seeds(values)
    return {
        name: dataclasses.replace(estimate(own), over_seeds=drawn.get(name), over_queries=over[name])
        for name, own in values.items()
        if own
    }

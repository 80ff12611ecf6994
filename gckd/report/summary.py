"""Run records -> one summary a row of the component table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gckd.report.published import published_rank_1
from gckd.report.statistics import Estimate, estimate, holm, paired, paired_p

METRICS = {"rank_1": "Rank-1", "rank_5": "Rank-5", "rank_10": "Rank-10", "map": "mAP", "minp": "mINP"}
DIFFERENCES = ("rank_1", "map")
FULL = "full"

Record = Mapping[str, Any]


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

    @property
    def runs(self) -> str:
        """`3`, or `1 (2 of 3 failed)`."""
        done = len(self.seeds)
        return f"{done} ({self.failed} of {done + self.failed} failed)" if self.failed else str(done)


def summarise(records: Sequence[Record]) -> list[RowSummary]:
    """One summary for each row, the full row first, the others in the order they stand in `records`."""
    rows = sorted({str(r["row"]): None for r in records}, key=lambda row: row != FULL)
    values = {row: _by_seed(records, row) for row in rows}
    tested = {name: _p_values(name, values) for name in DIFFERENCES}
    return [
        _summary(row, values, records, {name: found[row] for name, found in tested.items() if row in found})
        for row in rows
    ]


def _p_values(metric: str, values: Mapping[str, Mapping[int, Record]]) -> dict[str, float]:
    """Row -> corrected p, where there is one."""
    numbers = {row: {seed: r[metric] for seed, r in done.items()} for row, done in values.items()}
    raw = {row: paired_p(numbers.get(FULL, {}), own) for row, own in numbers.items() if row != FULL}
    return holm({row: p for row, p in raw.items() if p is not None})


def _by_seed(records: Sequence[Record], row: str) -> dict[int, Record]:
    return {r["seed"]: r for r in records if r["row"] == row and r["status"] == "done"}


def _summary(
    row: str, values: Mapping[str, Mapping[int, Record]], records: Sequence[Record], p: Mapping[str, float]
) -> RowSummary:
    done, full = values[row], values.get(FULL, {})
    differences = {
        name: paired({s: r[name] for s, r in full.items()}, {s: r[name] for s, r in done.items()})
        for name in DIFFERENCES
        if row != FULL
    }
    return RowSummary(
        row=row,
        seeds=tuple(sorted(done)),
        failed=sum(r["row"] == row and r["status"] != "done" for r in records),
        metrics={name: estimate([r[name] for r in done.values()]) for name in METRICS if done},
        to_full={name: value for name, value in differences.items() if value is not None},
        p=p,
        published=published_rank_1(records, row),
    )

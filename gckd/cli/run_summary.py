"""Result of one run, as `gckd train` prints it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gckd.config import encode
from gckd.report.interval_tables import interval_text
from gckd.report.summary import METRICS
from gckd.report.warnings import failure_warnings, grouped, label_use_notes

if TYPE_CHECKING:
    from gckd.config import Config
    from gckd.report.curves import CurvePoint
    from gckd.report.summary import RowSummary


def run_summary(
    record: Mapping[str, Any], config: Config, row: RowSummary, curves: Sequence[CurvePoint], notes: Sequence[str]
) -> Iterator[str]:
    """Lines on a finished run: its metrics with intervals, its datasets, warnings and notes.

    Args:
        record: of the run.
        config: of the run.
        row: summary of this run alone.
        curves: of the run, with the names of row and seed.
        notes: on data and weights, as they are recorded.
    """
    yield "".join(f"{name:>9}" for name in METRICS.values())
    yield "".join(f"{row.metrics[name].mean:>9.1f}" for name in METRICS if name in row.metrics)
    intervals = [
        f"{METRICS[name]} {interval_text(estimate.over_queries)}"
        for name, estimate in row.metrics.items()
        if estimate.over_queries is not None
    ]
    if intervals:
        yield f"95 % interval over the queries: {', '.join(intervals)}. Other seeds give other results."
    yield (
        f"Target test split of {record['target']}: {record['queries']:,} queries, {record['gallery']:,} images. "
        f"Adapted from {record['source']} with seed {record['seed']}. In percent."
    )
    yield from label_use_notes(curves)
    yield from grouped(failure_warnings(curves, {str(record["row"]): encode(config)}))
    yield from (f"note: {note}" for note in notes)

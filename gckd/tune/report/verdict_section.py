"""Section of the report of a search with its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gckd.report.html.page import NONE, Section, Table
from gckd.report.reference_rows import SOURCE_MODEL
from gckd.report.statistics import written_p
from gckd.report.summary import FULL
from gckd.tune.confirmation import DEFAULTS

if TYPE_CHECKING:
    from gckd.report.bootstrap import Interval
    from gckd.report.statistics import Estimate
    from gckd.report.summary import RowSummary
    from gckd.tune.best import Candidate
    from gckd.tune.verdict import Verdict

_NAMES = {DEFAULTS: "base config (defaults)", SOURCE_MODEL: "source model"}
_NOTE = (
    "Rank-1 and mAP on target test in percent, mean and 95 % interval over seeds that the search did not use. "
    "Differences are paired by seed; p: paired t test, Holm-corrected. The interval over queries keeps the trained "
    "models fixed, so it does not contain the difference between seeds. Records: confirmation/."
)


def verdict_sections(verdict: Verdict | None, chosen: Candidate | None) -> list[Section]:
    """The section below the headline, which is the verdict; empty without a confirmation."""
    if verdict is None or chosen is None:
        return []
    head = ["config", "runs", "Rank-1", "mAP", "chosen - row, Rank-1", "interval over queries", "p"]
    body = [_cells(row, chosen) for row in verdict.rows]
    return [Section("Verdict", list(verdict.sentences())[1:], Table(head, body), notes=[_NOTE])]


def _cells(row: RowSummary, chosen: Candidate) -> list[str]:
    name = f"chosen: trial {chosen.trial.number}" if row.row == FULL else _NAMES.get(row.row, row.row)
    difference, p = row.to_full.get("rank_1"), row.p.get("rank_1")
    return [
        name,
        row.runs,
        *(_estimate(row.metrics.get(metric), "") for metric in ("rank_1", "map")),
        _estimate(difference, "+"),
        _interval(difference.over_queries if difference else None),
        NONE if p is None else written_p(p),
    ]


def _estimate(value: Estimate | None, sign: str) -> str:
    if value is None:
        return NONE
    return f"{value.mean:{sign}z.1f}" + ("" if value.half_width is None else f" ± {value.half_width:.1f}")


def _interval(interval: Interval | None) -> str:
    return NONE if interval is None else f"{interval.low:+z.1f} to {interval.high:+z.1f}"

"""Checks that the paper suggests, from a folder's records and curves: figures, and three sentences from the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gckd.report.checks.connectivity import graph_connectivity
from gckd.report.checks.finding import Finding, Results
from gckd.report.checks.sensitivity import sensitivity
from gckd.report.checks.transfer import teacher_transfer

Check = Callable[[Results], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "graph_connectivity": graph_connectivity,
    "teacher_transfer": teacher_transfer,
    "sensitivity": sensitivity,
}

__all__ = ["CHECKS", "Check", "Finding", "Results"]

"""Checks: figures with sentences about why the method works or not, from the records and curves of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gckd.report.checks.check_input import CheckInput
from gckd.report.checks.check_result import CheckResult
from gckd.report.checks.connectivity import check_connectivity
from gckd.report.checks.sensitivity import check_sensitivity
from gckd.report.checks.transfer import check_transfer

Check = Callable[[CheckInput], Iterator[CheckResult]]

CHECKS: dict[str, Check] = {
    "graph_connectivity": check_connectivity,
    "teacher_transfer": check_transfer,
    "sensitivity": check_sensitivity,
}

__all__ = ["CHECKS", "Check", "CheckInput", "CheckResult"]

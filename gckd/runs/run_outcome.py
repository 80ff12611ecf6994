"""Outcome of a run, and the records that an execution keeps of outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    from gckd.runs.plan import Run
    from gckd.runs.provenance import Provenance
    from gckd.runs.records import Record


class RunOutcome(Protocol):
    """Result of a finished run."""

    @property
    def rank_1(self) -> float | None:
        """Rank-1 on target test, which displays show, percent; None: not measured."""

    @property
    def source_rank_1(self) -> float | None:
        """Rank-1 on source val at the end, percent; None: not measured."""


OutcomeT = TypeVar("OutcomeT", bound=RunOutcome)
OutcomeT_contra = TypeVar("OutcomeT_contra", bound=RunOutcome, contravariant=True)


class RunRecords(Protocol[OutcomeT_contra]):
    """Records of runs with one kind of outcome, in a folder."""

    folder: Path
    runs: list[Record]

    def finished(self, run: Run) -> bool:
        """Whether `run` has a record as finished, with the same config."""

    def finish(self, run: Run, result: OutcomeT_contra, provenance: Provenance) -> None:
        """Add a finished run."""

    def add(self, record: Record) -> None:
        """Add a run in place of an older record of it."""

"""Verdict of a search: whether its chosen config is better than the base config and the source model on target test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gckd.report.queries import read_queries
from gckd.report.reference_rows import SOURCE_MODEL
from gckd.report.statistics import stated_p
from gckd.report.summary import FULL, RowSummary, summarise
from gckd.tune.confirmation import DEFAULTS

if TYPE_CHECKING:
    from gckd.report.statistics import Estimate
    from gckd.runs.plan import Run
    from gckd.runs.records import Records

_LEVEL = 0.05  # of the test


@dataclass(frozen=True)
class Verdict:
    """Result of a confirmation.

    rows: the chosen config (`full`), the base config (`defaults`) and the source model, over the seeds that finished;
    without `defaults` if the search chose the base config. failed: number of runs that failed or are missing.
    """

    rows: Sequence[RowSummary]
    failed: int

    @property
    def better(self) -> bool:
        """Whether the chosen config is shown to be better than the base config."""
        return _sign(self._row(DEFAULTS)) > 0

    def sentences(self) -> Iterator[str]:
        """The verdict, its comparison with the source model, and remarks."""
        base, source, seeds = self._row(DEFAULTS), self._row(SOURCE_MODEL), self._seeds()
        against_base = self._difference(base) if base else ""
        if not seeds:
            yield "No verdict: every run of the chosen config failed; see confirmation/."
            return
        if base is None:
            yield "Keep the defaults: the search chose them."
        elif not against_base:
            yield "No verdict: every run of the defaults failed; see confirmation/."
        elif _sign(base) > 0:
            yield f"Use best.yaml: it beats the defaults by {against_base} on target test, {_seeds_text(seeds)}."
        elif _sign(base) < 0:
            yield f"Keep the defaults: best.yaml is worse, {against_base} on target test, {_seeds_text(seeds)}."
        else:
            yield (
                f"Keep the defaults: the difference of {against_base} on target test, {_seeds_text(seeds)}, may be "
                "chance. More seeds (--confirm-seeds) narrow the interval."
            )
        if source is not None and (against_source := self._difference(source)):
            doubt = "" if _sign(source) > 0 else "; adaptation is not shown to help"
            yield f"Chosen config against the source model: {against_source}{doubt}."
        if self.failed:
            yield f"Runs that failed or are missing: {self.failed}; see confirmation/."

    def _row(self, name: str) -> RowSummary | None:
        return next((row for row in self.rows if row.row == name), None)

    def _difference(self, row: RowSummary) -> str:
        estimate, tests = row.to_full.get("rank_1"), sum("rank_1" in other.p for other in self.rows)
        return "" if estimate is None else difference_text(estimate, row.p.get("rank_1"), tests)

    def _seeds(self) -> int:
        full = self._row(FULL)
        return len(full.seeds) if full else 0


def make_verdict(runs: Sequence[Run], records: Records) -> Verdict | None:
    """The verdict from those records that are of these runs; None if no run of the chosen config is recorded.

    The test of each difference is the paired t test over seeds, Holm-corrected over the two comparisons.
    """
    by_key = {(run.row, run.seed): run.digest for run in runs}
    recorded = [r for r in records.runs if by_key.get((r["row"], r["seed"])) == r["config_digest"]]
    if not any(record["row"] == FULL for record in recorded):
        return None
    done = sum(records.finished(run) for run in runs)
    return Verdict(summarise(recorded, read_queries(records.folder, recorded)), len(runs) - done)


def difference_text(estimate: Estimate, p: float | None, tests: int) -> str:
    """`+2.3 Rank-1 (95 % interval +0.5 to +4.1; p = 0.012)`; without an interval for one seed.

    Args:
        tests: number of differences for which p is corrected; the interval is not.
    """
    if estimate.half_width is None:
        return f"{estimate.mean:+z.1f} Rank-1 (one seed, so no interval)"
    low, high = estimate.mean - estimate.half_width, estimate.mean + estimate.half_width
    test = "" if p is None else f"; {stated_p(p)}"
    if test and tests > 1:
        test += f", corrected for {tests} comparisons"
    return f"{estimate.mean:+z.1f} Rank-1 (95 % interval {low:+z.1f} to {high:+z.1f}{test})"


def _sign(row: RowSummary | None) -> int:
    """1: the chosen config is shown to be better than a row, -1: worse, 0: neither."""
    estimate = row.to_full.get("rank_1") if row else None
    if row is None or estimate is None or estimate.half_width is None or abs(estimate.mean) <= estimate.half_width:
        return 0
    if row.p.get("rank_1", 0.0) >= _LEVEL:  # no p: all differences are equal
        return 0
    return 1 if estimate.mean > 0 else -1


def _seeds_text(seeds: int) -> str:
    return "one seed" if seeds == 1 else f"{seeds} paired seeds"

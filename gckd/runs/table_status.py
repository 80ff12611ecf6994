"""Status of a whole table while its runs are executed: runs finished, time left, and the best row so far."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from gckd.runs.run_state import DONE, ENDED, PREPARATION, WAITING, clock_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from gckd.runs.run_state import RunState

_LONG_STAGES = ("pretrain", "adapt")  # the time left in one of them is about that of the run


def table_status(states: Sequence[RunState], with_labels: Collection[str] = ()) -> str:
    """`4 of 9 runs finished, about 12:30 left, best by source val Rank-1: full 85.8 (seeds 0, 1)`.

    Args:
        with_labels: rows that train with target labels; none of them is the best.
    """
    runs = [state for state in states if not is_preparation(state)]
    parts = [f"{sum(state.stage in ENDED for state in runs)} of {len(runs)} runs finished"]
    left = seconds_left(states)
    if left:
        parts.append(f"about {clock_text(left)} left")
    best = best_row(run for run in runs if run.row not in with_labels)
    if best:
        parts.append(f"best by source val Rank-1: {best}")
    return ", ".join(parts)


def is_preparation(state: RunState) -> bool:
    """Whether a line is the training of a source model, which several runs share."""
    return state.row.startswith(PREPARATION)


def seconds_left(states: Sequence[RunState]) -> float | None:
    """Estimate for all runs, from the durations so far; None if a kind of run has none yet.

    A run takes as long as the other seeds of its row; without any, as the other runs of its kind. As many run at a time
    as now.
    """
    durations: dict[str, list[float]] = {}
    for state in states:
        if state.stage == DONE or (state.left is not None and state.stage in _LONG_STAGES):
            durations.setdefault(state.row, []).append(state.seconds + (state.left or 0.0))
    remaining = []
    for state in (state for state in states if state.stage not in ENDED):
        duration = _expected(state, states, durations)
        if duration is None:
            return None
        remaining.append(max(state.left or 0.0, duration - state.seconds))
    running = sum(state.stage not in (*ENDED, WAITING) for state in states)
    return max(max(remaining, default=0.0), sum(remaining) / max(1, running))


def _expected(state: RunState, states: Sequence[RunState], durations: Mapping[str, Sequence[float]]) -> float | None:
    if state.row in durations:
        return statistics.fmean(durations[state.row])
    same_kind = {other.row for other in states if is_preparation(other) == is_preparation(state)}
    values = [seconds for row in same_kind & durations.keys() for seconds in durations[row]]
    return statistics.fmean(values) if values else None


def best_row(runs: Iterable[RunState]) -> str:
    """`full 85.8 (seeds 0, 1)`: the best mean on source val over the seeds that all rows have finished.

    It reads no target label. Empty with fewer than two rows, without a common seed, or if all rows are equal.
    """
    values: dict[str, dict[int, float]] = {}
    for run in runs:
        if run.stage == DONE and run.source_rank_1 is not None:
            values.setdefault(run.row, {})[run.seed] = run.source_rank_1
    shared = sorted(set.intersection(*(set(by_seed) for by_seed in values.values()))) if len(values) > 1 else []
    if not shared:
        return ""
    means = {row: statistics.fmean(by_seed[seed] for seed in shared) for row, by_seed in values.items()}
    row = max(means, key=lambda name: means[name])
    if min(means.values()) == means[row]:
        return ""
    return f"{row} {means[row]:.1f} (seed{'s' * (len(shared) > 1)} {', '.join(map(str, shared))})"

"""Board that collects the progress of all runs: an actor on a cluster, a plain object in a single process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gckd.runs.run_state import DONE, ENDED, FAILED, RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gckd.progress import Progress


class Board:
    """State of every run. All times are measured by the board's own clock, because those of machines differ."""

    def __init__(self, runs: Sequence[tuple[str, int]], clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            runs: (row, seed) of each line, in the order of display.
            clock: time in seconds.
        """
        self._clock = clock
        self._states = {key: RunState(*key) for key in runs}
        self._stage_start: dict[tuple[str, int], float] = {}
        self._first_step: dict[tuple[str, int], int] = {}
        self._start: dict[tuple[str, int], float] = {}
        self._stopping = False

    def stop(self) -> None:
        """Ask all runs to stop: `report` returns True from now on."""
        self._stopping = True

    def report(self, key: tuple[str, int], progress: Progress) -> bool:
        """Record the progress of a run. A run that is not on the board yet takes the next line.

        Returns:
            Whether the run has to save a checkpoint and stop.
        """
        state = self._states.setdefault(key, RunState(*key))
        if state.stage in ENDED:  # the end of a run may arrive before its last report
            return self._stopping
        self._start.setdefault(key, self._clock())
        if state.stage != progress.stage:
            self._stage_start[key], self._first_step[key] = self._clock(), progress.step
        state.stage, state.step, state.steps = progress.stage, progress.step, progress.steps
        state.losses = dict(progress.losses)
        state.rank_1 = state.rank_1 if progress.rank_1 is None else progress.rank_1
        steps_done = state.step - self._first_step[key]
        elapsed = self._clock() - self._stage_start[key]
        state.left = elapsed / steps_done * (state.steps - state.step) if steps_done > 0 else None
        return self._stopping

    def end(
        self,
        key: tuple[str, int],
        *,
        rank_1: float | None = None,
        source_rank_1: float | None = None,
        message: str = "",
    ) -> None:
        """Mark a run as done, or as failed if there is a message; `rank_1` is on the test split of the target."""
        state = self._states.setdefault(key, RunState(*key))
        state.seconds, state.source_rank_1 = self._seconds(key), source_rank_1
        state.stage, state.message, state.left = (FAILED if message else DONE), message, None
        if rank_1 is not None:
            state.rank_1, state.rank_split = rank_1, "test"

    def snapshot(self) -> list[RunState]:
        """State of every run, with its seconds until now."""
        for key, state in self._states.items():
            if state.stage not in ENDED:
                state.seconds = self._seconds(key)
        return list(self._states.values())

    def _seconds(self, key: tuple[str, int]) -> float:
        return self._clock() - self._start[key] if key in self._start else 0.0

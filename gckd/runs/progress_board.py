"""Where running runs leave their progress: one object, an actor on a cluster, a plain object in a single process."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gckd.progress import Progress

WAITING, DONE, FAILED = "waiting", "done", "failed"
ENDED = (DONE, FAILED)
_SECONDS_BETWEEN_REPORTS = 0.5


@dataclass
class RunState:
    """What a display shows of one run."""

    row: str
    seed: int
    stage: str = WAITING
    step: int = 0
    steps: int = 0
    losses: dict[str, float] = field(default_factory=dict)
    rank_1: float | None = None  # percent, the latest that was measured
    left: float | None = None  # seconds to the end of this stage
    message: str = ""  # why it failed


class Board:
    """Collects progress. All times are measured here, so that machines' clocks need not agree."""

    def __init__(self, runs: Sequence[tuple[str, int]], clock: Callable[[], float] = time.monotonic) -> None:
        """Args:
        runs: (row, seed) of each line, in the order of display.
        clock: seconds.
        """
        self._clock = clock
        self._states = {key: RunState(*key) for key in runs}
        self._began: dict[tuple[str, int], float] = {}
        self._first_step: dict[tuple[str, int], int] = {}

    def report(self, key: tuple[str, int], progress: Progress) -> None:
        """Notes progress; a run that was not announced takes the next line."""
        state = self._states.setdefault(key, RunState(*key))
        if state.stage in ENDED:  # a report can be overtaken by the end of its run
            return
        if state.stage != progress.stage:
            self._began[key], self._first_step[key] = self._clock(), progress.step
        state.stage, state.step, state.steps = progress.stage, progress.step, progress.steps
        state.losses = dict(progress.losses)
        state.rank_1 = state.rank_1 if progress.rank_1 is None else progress.rank_1
        done = state.step - self._first_step[key]
        elapsed = self._clock() - self._began[key]
        state.left = elapsed / done * (state.steps - state.step) if done > 0 else None

    def end(self, key: tuple[str, int], *, rank_1: float | None = None, message: str = "") -> None:
        """The run is over, perhaps before it had anything to report; a message says why it failed."""
        state = self._states.setdefault(key, RunState(*key))
        state.stage, state.message, state.left = (FAILED if message else DONE), message, None
        state.rank_1 = state.rank_1 if rank_1 is None else rank_1

    def snapshot(self) -> list[RunState]:
        return list(self._states.values())


class Throttle:
    """Passes progress on at most twice a second, but every change of stage, last step and measurement."""

    def __init__(self, send: Callable[[Progress], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._send, self._clock = send, clock
        self._stage, self._next = "", 0.0

    def __call__(self, progress: Progress) -> None:
        now = self._clock()
        weighty = progress.stage != self._stage or progress.step >= progress.steps or progress.rank_1 is not None
        if weighty or now >= self._next:
            self._stage, self._next = progress.stage, now + _SECONDS_BETWEEN_REPORTS
            self._send(progress)

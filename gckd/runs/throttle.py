"""Throttle of progress reports, so that a fast run does not flood its display."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gckd.progress import Progress

_SECONDS_BETWEEN_REPORTS = 0.5


class Throttle:
    """Forwards at most two reports per second, but always a new stage, a stage's last step and a measured Rank-1."""

    def __init__(self, send: Callable[[Progress], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._send, self._clock = send, clock
        self._stage, self._next = "", 0.0

    def __call__(self, progress: Progress) -> None:
        now = self._clock()
        important = progress.stage != self._stage or progress.step >= progress.steps or progress.rank_1 is not None
        if important or now >= self._next:
            self._stage, self._next = progress.stage, now + _SECONDS_BETWEEN_REPORTS
            self._send(progress)

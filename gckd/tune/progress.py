"""Progress of a search: its trials with their hyperparameters and values, the best one so far, and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

RUNNING, FINISHED, STOPPED, FAILED = "running", "finished", "stopped early", "failed"
_MIN_WARNING = 3  # finished trials, from which on the warning is given


@dataclass
class TrialProgress:
    """A trial that this command has started. value: best of its epochs so far, by the first objective."""

    number: int
    edits: Mapping[str, Any]
    epoch: int = 0
    value: float | None = None
    state: str = RUNNING


@dataclass
class SearchProgress:
    """State of the search.

    left: trials that this command will start at most. epochs: of each trial. source_value: value of the source model;
    None: unknown, as its score needs target labels. finished: number -> value of the finished trials of the study.
    """

    left: int
    epochs: int
    source_value: float | None
    finished: dict[int, float] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    trials: dict[int, TrialProgress] = field(default_factory=dict)  # by number
    _start: float | None = None
    _warned: bool = False

    def report(self, number: int, edits: Mapping[str, Any], epoch: int, value: float) -> None:
        """Record an epoch of a trial."""
        trial = self.start(number, edits)
        trial.epoch = max(trial.epoch, epoch)
        trial.value = value if trial.value is None else max(trial.value, value)

    def start(self, number: int, edits: Mapping[str, Any]) -> TrialProgress:
        """The trial with this number, which is added if it is new."""
        self._start = self.clock() if self._start is None else self._start
        return self.trials.setdefault(number, TrialProgress(number, edits))

    def end(self, number: int, state: str) -> None:
        """Record the end of a trial: FINISHED, STOPPED or FAILED."""
        trial = self.trials[number]
        trial.state = state
        if state == FINISHED and trial.value is not None:
            self.finished[number] = trial.value

    @property
    def ended(self) -> int:
        """Number of trials of this command that have ended."""
        return sum(trial.state != RUNNING for trial in self.trials.values())

    @property
    def best(self) -> tuple[int, float] | None:
        """Number and value of the best finished trial; the earlier of equals."""
        return max(self.finished.items(), key=lambda item: (item[1], -item[0]), default=None)

    @property
    def elapsed(self) -> float:
        """Seconds since the first trial of this command began."""
        return 0.0 if self._start is None else self.clock() - self._start

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the trials that have ended; None before the first one has."""
        return self.elapsed / self.ended * max(0, self.left - self.ended) if self.ended else None

    def new_warning(self) -> str:
        """Warning, given once, that every finished trial is below the source model; else empty."""
        best = self.best
        if self._warned or best is None or self.source_value is None or len(self.finished) < _MIN_WARNING:
            return ""
        self._warned = best[1] < self.source_value
        return below_source_model(len(self.finished), best[1], self.source_value) if self._warned else ""


def below_source_model(finished: int, best: float, source: float) -> str:
    """Warning that no finished trial reaches the source model.

    Args:
        finished: number of finished trials. best: their largest value. source: value of the source model.
    """
    return (
        f"warning: all {finished} finished trials are below the source model ({best:+.4g} at best, source model "
        f"{source:.4g}); adaptation does not help with this config and space"
    )

"""Display of a search: a live table on a terminal, a line for each trial that ends elsewhere."""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from gckd.runs.plan import FULL
from gckd.runs.progress_display import OTHER_LINES, PlainDisplay, most_important, progress_table
from gckd.runs.run_state import ENDED, clock_text
from gckd.runs.table_status import seconds_left
from gckd.tune.confirmation import CHOSEN
from gckd.tune.progress import FAILED, FINISHED, RUNNING, STOPPED
from gckd.tune.report.plotted_study import short_names
from gckd.tune.space.choice import kind_or_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from gckd.runs.run_state import RunState
    from gckd.tune.progress import SearchProgress, TrialProgress

_ENDED_SHOWN = 8  # latest trials that have ended
_STYLES = {FINISHED: "green", STOPPED: "dim", FAILED: "red"}


class SearchDisplay:
    """Display of runs (`gckd.runs.progress_display.Display`) that also shows the trials of a search."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """stream: standard error by default."""
        stream = stream or sys.stderr
        self._stream, self._start = stream, time.monotonic()
        self._live = (
            Live(console=Console(file=stream, highlight=False), auto_refresh=False) if stream.isatty() else None
        )
        self._plain, self._written = PlainDisplay(stream), set[int]()

    def __enter__(self) -> SearchDisplay:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, states: Sequence[RunState]) -> None:
        """Show source models that are trained, and runs of the confirmation: `full` is the chosen config."""
        states = [dataclasses.replace(state, row=CHOSEN if state.row == FULL else state.row) for state in states]
        if self._live:
            size, elapsed = self._live.console.size, clock_text(time.monotonic() - self._start)
            shown = most_important(states, size.height - OTHER_LINES)
            title = f"{_of_runs(states)}, {elapsed} elapsed"
            self._live.update(progress_table(shown, title, size.width) if states else title, refresh=True)
        else:
            self._plain.show(states)

    def show_search(self, progress: SearchProgress) -> None:
        """Show the trials, and the warning if it is new."""
        warning = progress.new_warning()
        if self._live:
            if warning:
                self._live.console.print(warning, style="yellow", markup=False)
            shown = search_table(progress) if progress.trials else "starting the first trials"
            self._live.update(shown, refresh=True)
            return
        for trial in progress.trials.values():
            if trial.state != RUNNING and trial.number not in self._written:
                self._written.add(trial.number)
                self._stream.write(f"{trial_line(trial, progress)}\n")
        self._stream.write(f"{warning}\n" if warning else "")
        self._stream.flush()


def _of_runs(states: Sequence[RunState]) -> str:
    """`2 of 6 finished, about 1:05 left`, or `starting` before the first run."""
    if not states:
        return "starting"
    left = seconds_left(states)
    return f"{sum(state.stage in ENDED for state in states)} of {len(states)} finished" + (
        f", about {clock_text(left)} left" if left else ""
    )


def search_table(progress: SearchProgress) -> Table:
    """Running trials and the latest that ended: hyperparameters, epoch, value; best so far and time left as title."""
    table = Table(title=summary(progress), title_justify="left")
    for name in ("trial", "hyperparameters", "epoch", "score", "state"):
        table.add_column(name, justify="right" if name in ("trial", "epoch", "score") else "left", overflow="fold")
    ended = [trial.number for trial in progress.trials.values() if trial.state != RUNNING]
    hidden = set(ended[:-_ENDED_SHOWN])
    best = progress.best
    for trial in progress.trials.values():
        is_best = best is not None and trial.number == best[0]
        epoch = f"{trial.epoch}/{progress.epochs}"
        if trial.number not in hidden or is_best:
            style = "bold green" if is_best else _STYLES.get(trial.state, "")
            state = f"{trial.state}, best" if is_best else trial.state
            cells = (
                str(trial.number),
                edits_text(trial.edits),
                epoch,
                _value(trial),
                state,
            )
            table.add_row(*cells, style=style)
    return table


def summary(progress: SearchProgress) -> str:
    """`3 of 16 trials ended, 1:05 elapsed, about 4:10 left; best so far: trial 2, +0.123 (source model 0)`."""
    text = f"{progress.ended} of {progress.left} trials ended, {clock_text(progress.elapsed)} elapsed"
    if progress.seconds_left is not None:
        text += f", about {clock_text(progress.seconds_left)} left"
    if progress.best is not None:
        number, value = progress.best
        source = "" if progress.source_value is None else f" (source model {progress.source_value:.4g})"
        text += f"; best so far: trial {number}, {value:+.4g}{source}"
    return text


def trial_line(trial: TrialProgress, progress: SearchProgress) -> str:
    """`trial 2 finished: score +0.123, k=15 m=0.99; 3 of 16 trials ended, ...`."""
    score = f"score {_value(trial)}" if trial.value is not None else "no score; the report has the reason"
    return f"trial {trial.number} {trial.state}: {score}, {edits_text(trial.edits)}; {summary(progress)}"


def edits_text(edits: Mapping[str, Any]) -> str:
    """`k=15 m=0.99`."""
    values = (kind_or_value(value) for value in edits.values())
    texts = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in values)
    return " ".join(f"{name}={text}" for name, text in zip(short_names(list(edits)), texts, strict=True))


def _value(trial: TrialProgress) -> str:
    return "" if trial.value is None else f"{trial.value:+.4g}"

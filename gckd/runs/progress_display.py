"""Display of all runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from gckd.runs.run_state import ENDED, FAILED, WAITING, RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

_SECONDS_BETWEEN_LINES = 30.0


class Display(Protocol):
    """Shows the state of all runs. A context: entered before the first `show`, left after the last."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, states: Sequence[RunState]) -> None: ...


def display(stream: TextIO | None = None) -> Display:
    """Display for `stream` (standard error by default)."""
    stream = stream or sys.stderr
    return LiveDisplay(Console(file=stream)) if stream.isatty() else PlainDisplay(stream)


class LiveDisplay:
    """Table with one line per run, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)
        self._start = time.monotonic()

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, states: Sequence[RunState]) -> None:
        self._live.update(progress_table(states, time.monotonic() - self._start), refresh=True)


def progress_table(states: Sequence[RunState], elapsed: float) -> Table:
    """Table of row, seed, stage, step, losses, latest Rank-1 and time left in the stage."""
    finished = sum(s.stage in ENDED for s in states)
    table = Table(title=f"{finished} of {len(states)} finished, {clock_text(elapsed)} elapsed", title_justify="left")
    for name in ("row", "seed", "stage", "step", "losses", "Rank-1", "left"):
        table.add_column(name, justify="right" if name in ("seed", "step", "Rank-1", "left") else "left")
    for s in states:
        style = {FAILED: "red", "done": "green", WAITING: "dim"}.get(s.stage, "")
        details = s.message or _losses(s)
        table.add_row(s.row, str(s.seed), s.stage, _step(s), details, _rank(s), clock_text(s.left), style=style)
    return table


class PlainDisplay:
    """One line per run when its stage changes, and every 30 seconds within a stage."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._written: dict[tuple[str, int], tuple[str, float]] = {}

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, states: Sequence[RunState]) -> None:
        now = self._clock()
        for s in states:
            stage, when = self._written.get((s.row, s.seed), (WAITING, now))
            if s.stage != stage or (s.stage not in (*ENDED, WAITING) and now - when >= _SECONDS_BETWEEN_LINES):
                self._written[s.row, s.seed] = (s.stage, now)
                self._stream.write(plain_line(s) + "\n")
        self._stream.flush()


def plain_line(s: RunState) -> str:
    """`full seed 0: adapt 120/400 loss=1.23 Rank-1 61.2 left 1:05`."""
    left = f"left {clock_text(s.left)}" if s.left is not None else ""
    rank = f"Rank-1 {_rank(s)}" if s.rank_1 is not None else ""
    words = (f"{s.row} seed {s.seed}:", s.stage, _step(s), s.message or _losses(s), rank, left)
    return " ".join(word for word in words if word)


def clock_text(seconds: float | None) -> str:
    """`4:05`, or `1:02:03` for an hour or more; empty for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def _step(s: RunState) -> str:
    return f"{s.step}/{s.steps}" if s.steps > 1 and s.stage not in ENDED else ""


def _losses(s: RunState) -> str:
    return " ".join(f"{name}={value:.3g}" for name, value in s.losses.items()) if s.stage not in ENDED else ""


def _rank(s: RunState) -> str:
    return f"{s.rank_1:.1f}" if s.rank_1 is not None else ""

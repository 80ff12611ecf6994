"""Display of all runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from gckd.runs.run_state import DONE, ENDED, FAILED, WAITING, RunState, clock_text

if TYPE_CHECKING:
    from types import TracebackType

_SECONDS_BETWEEN_LINES = 60.0  # of one run within a stage
_WIDE = 120  # characters of a console that has room for losses
OTHER_LINES = 6  # of the live table: title, frame and head

Status = Callable[[Sequence[RunState]], str]  # line about all runs


class Display(Protocol):
    """Shows the state of all runs. A context: entered before the first `show`, left after the last."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, states: Sequence[RunState]) -> None: ...


def _no_status(states: Sequence[RunState]) -> str:
    return ""


def display(stream: TextIO | None = None, status: Status = _no_status) -> Display:
    """Display for `stream` (standard error by default).

    Args:
        status: see `gckd.runs.table_status`; none by default.
    """
    stream = stream or sys.stderr
    if stream.isatty():
        return LiveDisplay(Console(file=stream), status)
    return PlainDisplay(stream, status=status)


class LiveDisplay:
    """Table with one line per run, redrawn in place."""

    def __init__(self, console: Console, status: Status = _no_status) -> None:
        self._live, self._status = Live(console=console, auto_refresh=False), status
        self._start = time.monotonic()

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, states: Sequence[RunState]) -> None:
        size, elapsed = self._live.console.size, time.monotonic() - self._start
        shown = most_important(states, size.height - OTHER_LINES)
        finished = f"{sum(s.stage in ENDED for s in states)} of {len(states)} finished"
        title = f"{self._status(states) or finished}, {clock_text(elapsed)} elapsed"
        self._live.update(progress_table(shown, title, size.width), refresh=True)


def most_important(states: Sequence[RunState], most: int) -> list[RunState]:
    """At most this many states, in their order: running ones before failed, finished and waiting ones."""
    places = {FAILED: 1, DONE: 2, WAITING: 3}
    ranked = sorted(range(len(states)), key=lambda place: places.get(states[place].stage, 0))
    return [states[place] for place in sorted(ranked[: max(1, most)])]


def progress_table(states: Sequence[RunState], title: str, width: int) -> Table:
    """Table of row, seed, stage, step, latest Rank-1 and time left in the stage; with losses on a wide console."""
    table = Table(title=title, title_justify="left")
    numbers = ("seed", "step", "Rank-1", "left")
    for name in ("row", "seed", "stage", "step", "Rank-1", "left"):
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold", no_wrap=name != "row")
    details = [s.message or (_losses(s) if width >= _WIDE else "") for s in states]
    if any(details):
        table.add_column("losses" if width >= _WIDE else "error", overflow="fold")
    for s, text in zip(states, details, strict=True):
        style = {FAILED: "red", DONE: "green", WAITING: "dim"}.get(s.stage, "")
        cells = (s.row, str(s.seed), s.stage, _step(s), _rank(s), clock_text(s.left))
        table.add_row(*cells, *([text] if any(details) else []), style=style)
    return table


class PlainDisplay:
    """One line for each news: a run starts a stage, passes a quarter of a long one, or ends.

    After the end of a run, a line with the status of all runs follows.
    """

    def __init__(
        self, stream: TextIO, clock: Callable[[], float] = time.monotonic, status: Status = _no_status
    ) -> None:
        self._stream, self._clock, self._status = stream, clock, status
        self._written: dict[tuple[str, int], tuple[str, int, float]] = {}  # stage, quarter, time of the last line
        self._last_status = ""

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, states: Sequence[RunState]) -> None:
        now, ended = self._clock(), False
        if not self._written:
            self._last_status = self._status(states)
        for s in states:
            stage, quarter, when = self._written.get((s.row, s.seed), (WAITING, 0, now))
            passed = s.stage not in (*ENDED, WAITING) and _quarter(s) > quarter
            if s.stage != stage or (passed and now - when >= _SECONDS_BETWEEN_LINES):
                self._written[s.row, s.seed] = (s.stage, _quarter(s), now)
                self._stream.write(plain_line(s) + "\n")
                ended = ended or s.stage in ENDED
        status = self._status(states) if ended else ""
        if status and status != self._last_status:
            self._last_status = status
            self._stream.write(status + "\n")
        self._stream.flush()


def _quarter(s: RunState) -> int:
    """Quarters of its stage that a run has passed."""
    return 4 * s.step // s.steps if s.steps else 0


def plain_line(s: RunState) -> str:
    """`full seed 0: adapt 120/400 loss=1.23 Rank-1 61.2 val left 1:05`."""
    left = f"left {clock_text(s.left)}" if s.left is not None else ""
    rank = f"Rank-1 {_rank(s)}" if s.rank_1 is not None else ""
    losses = _losses(s) if s.step > 1 else ""  # those of a first step say nothing
    words = (f"{s.row} seed {s.seed}:", s.stage, _step(s), s.message or losses, rank, left)
    return " ".join(word for word in words if word)


def _step(s: RunState) -> str:
    return f"{s.step}/{s.steps}" if s.steps > 1 and s.stage not in ENDED else ""


def _losses(s: RunState) -> str:
    return " ".join(f"{name}={value:.3g}" for name, value in s.losses.items()) if s.stage not in ENDED else ""


def _rank(s: RunState) -> str:
    return f"{s.rank_1:.1f} {s.rank_split}" if s.rank_1 is not None else ""

"""Progress bar of a single run: on a terminal, or in a notebook cell."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gckd.runs.run_state import ENDED, clock_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from gckd.runs.progress_display import Display
    from gckd.runs.run_state import RunState


def progress_bar(*, enabled: bool = True) -> Display:
    """Progress bar on standard error or in the notebook; `NoDisplay` if there is neither, or if it is not enabled."""
    console = Console(stderr=True)
    if not enabled:
        return NoDisplay()
    if console.is_jupyter:
        return NotebookBar(console)
    return TerminalBar(console) if sys.stderr.isatty() else NoDisplay()


class NoDisplay:
    """Display that shows nothing."""

    def __enter__(self) -> NoDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, states: Sequence[RunState]) -> None:
        return None


class TerminalBar:
    """Bar with stage, step, time left, losses and the latest target Rank-1. Finished stages stay above it."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[values]}", style="dim"),
        )
        self._bars = Progress(*columns, console=console, auto_refresh=False)
        self._stage = ""

    def __enter__(self) -> TerminalBar:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, states: Sequence[RunState]) -> None:
        """Show the first of the states, the only one of a single run."""
        state = states[0]
        if state.stage in ENDED:
            return
        if state.stage != self._stage:
            self._stage = state.stage
            self._bars.add_task(state.stage, left="", values="")
        self._bars.update(
            self._bars.task_ids[-1],
            completed=state.step,
            total=state.steps or None,
            left=clock_text(state.left),
            values=_values_text(state),
        )
        self._refresh()

    def _refresh(self) -> None:
        self._bars.refresh()


class NotebookBar(TerminalBar):
    """The same bar as output of a notebook cell, which needs no ipywidgets."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._handle: Any = None

    def __enter__(self) -> NotebookBar:
        display = importlib.import_module("IPython.display").display  # every notebook has it; no dependency of ours
        self._handle = display(self._bars, display_id=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def _refresh(self) -> None:
        self._handle.update(self._bars)


def _values_text(state: RunState) -> str:
    values = [f"{name} {value:.3g}" for name, value in state.losses.items()]
    if state.rank_1 is not None:
        values.append(f"Rank-1 {state.rank_1:.1f} % ({state.rank_split})")
    return "  ".join(values)

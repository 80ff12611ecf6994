"""Progress bar of a single run, on a terminal and in a notebook."""

from __future__ import annotations

import io
import sys
import types
from typing import Any

import pytest
from rich.console import Console

from gckd.runs.progress_bar import NoDisplay, NotebookBar, TerminalBar, progress_bar
from gckd.runs.run_state import RunState

STATES = [
    RunState("full", 0, "pretrain", step=3, steps=8, losses={"source_contrastive": 1.234}, left=65.0),
    RunState("full", 0, "adapt", step=2, steps=4, losses={"target_contrastive": 0.5}, rank_1=61.25, left=5.0),
    RunState("full", 0, "done", rank_1=61.25),
]


def test_a_terminal_shows_stage_step_losses_rank_1_and_time() -> None:
    stream = io.StringIO()
    with TerminalBar(Console(file=stream, force_terminal=True, width=120)) as bar:
        for state in STATES:
            bar.show([state])
    text = stream.getvalue()
    for part in ("pretrain", "3/8", "1:05", "source_contrastive 1.23", "adapt", "2/4", "Rank-1 61.2 % (val)"):
        assert part in text, part


def test_a_notebook_updates_one_output_without_ipywidgets(monkeypatch: pytest.MonkeyPatch) -> None:
    updates: list[str] = []

    class Handle:
        def update(self, bars: Any) -> None:
            updates.append(bars._repr_mimebundle_([], [])["text/plain"])

    module = types.ModuleType("IPython.display")
    module.display = lambda bars, display_id: Handle()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    with NotebookBar(Console(file=io.StringIO(), force_jupyter=True)) as bar:
        for state in STATES:
            bar.show([state])
    assert len(updates) == 2
    assert "pretrain" in updates[0] and "adapt" not in updates[0]
    assert "adapt" in updates[1] and "2/4" in updates[1]


def test_nothing_is_shown_elsewhere_or_if_it_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert isinstance(progress_bar(), NoDisplay)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(progress_bar(), TerminalBar)
    assert isinstance(progress_bar(enabled=False), NoDisplay)

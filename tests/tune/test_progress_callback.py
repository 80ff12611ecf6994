"""Progress of a running search, and its display."""

from __future__ import annotations

import io
import os
import pty
import signal
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from ray import cloudpickle
from rich.console import Console

from gckd.errors import LostInputError
from gckd.interruption import Interruption
from gckd.runs.run_state import RunState
from gckd.runs.tracker import Trackers
from gckd.tune.progress import FAILED, FINISHED, STOPPED, SearchProgress
from gckd.tune.progress_callback import ProgressCallback
from gckd.tune.search_display import SearchDisplay, search_table


def ignore(*_: object) -> None:
    pass


def make_callback(
    progress: SearchProgress, display: SearchDisplay, trackers: Trackers | None = None, **given: Any
) -> ProgressCallback:
    arguments = {
        "interruption": Interruption(),
        "lost_input": lambda: "",
        "save": ignore,
        "after_trial": ignore,
        **given,
    }
    return ProgressCallback(progress, display, trackers=trackers or Trackers(), **arguments)


def test_the_callback_can_be_pickled_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tune pickles its callbacks before the first trial, and a terminal cannot be pickled."""
    driver_end, terminal_end = pty.openpty()
    with os.fdopen(terminal_end, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with SearchDisplay() as shown:
            cloudpickle.dumps(make_callback(SearchProgress(4, 2, 0.0), shown))
    os.close(driver_end)


class Clock:
    """Time that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def trial(number: int, **last_result: object) -> SimpleNamespace:
    """Trial of Tune, as far as the callback reads it."""
    config = {"number": number, "edits": {"graph.propagate.k": 10 + number, "distill.teacher.m": 0.99}}
    return SimpleNamespace(config=config, last_result=last_result)


def test_a_pipe_gets_a_line_for_each_trial_that_ends() -> None:
    clock, stream, calls = Clock(), io.StringIO(), list[tuple[object, ...]]()
    note: Any = SimpleNamespace(**{name: lambda *a: calls.append(a) for name in ("start", "log", "end")})
    trackers = Trackers({"mlflow": note})
    progress = SearchProgress(4, 2, 0.0, {0: 0.05}, clock)
    callback = make_callback(progress, SearchDisplay(stream), trackers)

    def step() -> list[str]:
        callback._next_update = 0.0
        callback.on_step_begin(0, [])
        return stream.getvalue().splitlines()

    first, second, third = trial(1, done_all=True), trial(2, done_all=False), trial(3, reason="it diverged")
    for tune_trial in (first, second, third):
        callback.on_trial_start(0, [], tune_trial)
    assert step() == []
    callback.on_trial_result(0, [], first, {"epoch": 1, "score": 0.2})
    callback.on_trial_result(0, [], first, {"epoch": 2, "score": 0.1})
    callback.on_trial_result(0, [], second, {"epoch": 1, "score": 0.9})
    clock.now = 10.0
    callback.on_trial_complete(0, [], first)
    rest = "1 of 4 trials ended, 0:10 elapsed, about 0:30 left; best so far: trial 1, +0.2 (source model 0)"
    assert step() == [f"trial 1 finished: score +0.2, k=11 m=0.99; {rest}"]
    callback.on_trial_complete(0, [], second)  # stopped early: it is not the best, although its value is higher
    callback.on_trial_complete(0, [], third)
    *_, stopped, failed = step()
    assert stopped.startswith("trial 2 stopped early: score +0.9") and "best so far: trial 1" in stopped
    assert failed.startswith("trial 3 failed: no score")
    states = [progress.trials[number].state for number in (1, 2, 3)]
    assert states == [FINISHED, STOPPED, FAILED]
    assert len(step()) == 3  # nothing is written twice
    callback.on_trial_complete(0, [], trial(4, done_all=True))
    callback.on_experiment_end([])  # after the last step
    assert stream.getvalue().splitlines()[3:] == [step()[-1]] and step()[-1].startswith("trial 4 finished")
    assert [call for call in calls if call[0] == "trial 1 k=11 m=0.99"] == [
        ("trial 1 k=11 m=0.99", {"graph.propagate.k": "11", "distill.teacher.m": "0.99"}),
        ("trial 1 k=11 m=0.99", "search", 1, {"score": 0.2}),
        ("trial 1 k=11 m=0.99", "search", 2, {"score": 0.1}),
        ("trial 1 k=11 m=0.99", {"search/best score": 0.2}),
    ]
    rows = Console(width=100, file=io.StringIO())
    rows.print(search_table(progress))
    assert "finished, best" in rows.file.getvalue()  # type: ignore[attr-defined]


def test_the_confirmation_names_the_chosen_config() -> None:
    """Its records have the row `full`, which says nothing in a search."""
    stream = io.StringIO()
    SearchDisplay(stream).show([RunState("full", 1, "adapt", 3, 9), RunState("defaults", 1, "adapt", 3, 9)])
    assert stream.getvalue().splitlines() == ["chosen seed 1: adapt 3/9", "defaults seed 1: adapt 3/9"]


class Terminal(io.StringIO):
    """A stream that is shown as a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_says_that_a_search_is_starting_instead_of_an_empty_table() -> None:
    stream = Terminal()
    with SearchDisplay(stream) as shown:
        shown.show([])
        shown.show_search(SearchProgress(4, 2, 0.0))
    assert "starting, 0:00 elapsed" in stream.getvalue() and "starting the first trials" in stream.getvalue()
    assert "trial ┃" not in stream.getvalue()


def test_a_terminal_shows_the_chosen_config_and_the_time_left_of_the_confirmation() -> None:
    stream = Terminal()
    states = [RunState("full", 1, "done", seconds=60.0), RunState("full", 2, "adapt", 3, 9, left=30.0, seconds=30.0)]
    with SearchDisplay(stream) as shown:
        shown.show(states)
    assert "1 of 2 finished, about 0:30 left" in stream.getvalue()
    assert "│ chosen │" in stream.getvalue() and "full" not in stream.getvalue()


@pytest.mark.parametrize(
    ("finished", "source", "warned"),
    [([-0.1, -0.2, -0.3], 0.0, True), ([-0.1, 0.1, -0.3], 0.0, False), ([-0.1], 0.0, False), ([-0.1] * 3, None, False)],
)
def test_the_warning_is_given_once_if_all_trials_are_below_the_source_model(
    finished: list[float], source: float | None, warned: bool
) -> None:
    progress = SearchProgress(9, 2, source, dict(enumerate(finished)))
    text = progress.new_warning()
    assert ("all 3 finished trials are below the source model (-0.1 at best" in text) == warned
    assert bool(text) == warned and progress.new_warning() == ""


def test_running_trials_save_before_an_interruption_or_lost_data_end_the_search() -> None:
    saved = list[Any]()
    trials = [
        SimpleNamespace(status=status, config={"number": number})
        for number, status in enumerate(("TERMINATED", "RUNNING", "PENDING", "RUNNING"))
    ]
    display = SearchDisplay(io.StringIO())
    problems = iter(["", "data.target: lost after the start"])
    callback = make_callback(
        SearchProgress(4, 2, 0.0),
        display,
        lost_input=lambda: next(problems),
        save=lambda running: saved.append(running),
    )
    callback.on_step_begin(0, trials)
    assert saved == []
    with pytest.raises(LostInputError, match="data.target"):
        callback.on_step_begin(1, trials)
    assert saved == [[{"number": 1}, {"number": 3}]]
    saved.clear()
    with Interruption() as interruption:
        callback = make_callback(SearchProgress(4, 2, 0.0), display, interruption=interruption, save=saved.append)
        callback.on_step_begin(0, trials)
        signal.raise_signal(signal.SIGTERM)
        assert saved == []
        with pytest.raises(KeyboardInterrupt):
            callback.on_step_begin(1, trials)
    assert saved == [[{"number": 1}, {"number": 3}]]

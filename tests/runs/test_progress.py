"""Board, throttle and displays, with a simulated clock."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from gckd.progress import Progress
from gckd.runs.dataset_progress import dataset_progress
from gckd.runs.progress_board import Board
from gckd.runs.progress_display import (
    LiveDisplay,
    PlainDisplay,
    display,
    most_important,
    plain_line,
    progress_table,
)
from gckd.runs.run_state import RunState, clock_text
from gckd.runs.table_status import best_row, seconds_left, table_status
from gckd.runs.throttle import Throttle

KEY = ("full", 0)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def at(stage: str, step: int, steps: int = 100, rank_1: float | None = None) -> Progress:
    return Progress(stage, step, steps, {"loss": 1.25}, rank_1)


def state(board: Board) -> RunState:
    (state,) = board.snapshot()
    return state


def test_time_left_follows_the_speed_of_the_stage() -> None:
    clock = Clock()
    board = Board([KEY], clock)
    assert state(board).stage == "waiting"
    board.report(KEY, at("pretrain", 0))
    clock.now += 1000
    board.report(KEY, at("adapt", 10))  # resumed at step 10
    assert state(board).left is None
    clock.now += 5
    board.report(KEY, at("adapt", 20))
    assert state(board).left == pytest.approx(80 * 0.5)


def test_rank_1_stays_until_the_next_measurement() -> None:
    board = Board([KEY], Clock())
    board.report(KEY, at("adapt", 1, rank_1=50.0))
    board.report(KEY, at("adapt", 2))
    assert state(board).rank_1 == 50
    board.end(KEY, rank_1=60.0)
    assert (state(board).stage, state(board).rank_1, state(board).left) == ("done", 60.0, None)


def test_a_failure_keeps_its_message() -> None:
    board = Board([KEY], Clock())
    board.end(KEY, message="ValueError: no")
    assert (state(board).stage, state(board).message) == ("failed", "ValueError: no")


def test_a_run_may_end_before_its_first_report() -> None:
    board = Board([], Clock())
    board.end(KEY)
    assert [(run.row, run.stage) for run in board.snapshot()] == [(KEY[0], "done")]


def test_a_report_after_the_end_is_ignored() -> None:
    board = Board([KEY], Clock())
    board.end(KEY, rank_1=60.0)
    board.report(KEY, at("evaluate", 0, rank_1=1.0))
    assert (state(board).stage, state(board).rank_1) == ("done", 60.0)


def test_throttle_forwards_important_reports_and_few_others() -> None:
    clock, sent = Clock(), []
    throttle = Throttle(sent.append, clock)
    for step in range(1, 99):
        clock.now += 0.01
        throttle(at("adapt", step))
    assert [p.step for p in sent] == [1, 51]
    throttle(at("adapt", 99, rank_1=1.0))
    throttle(at("adapt", 100))
    throttle(at("evaluate", 0))
    assert [(p.stage, p.step) for p in sent[2:]] == [("adapt", 99), ("adapt", 100), ("evaluate", 0)]


def test_plain_lines_appear_at_a_new_stage_and_at_quarters_of_a_long_one() -> None:
    clock, out = Clock(), io.StringIO()
    plain = PlainDisplay(out, clock)

    def show(stage: str, step: int) -> list[str]:
        before = len(out.getvalue())
        plain.show([RunState("full", 0, stage, step, 100)])
        return out.getvalue()[before:].splitlines()

    assert show("waiting", 0) == []
    assert show("adapt", 1) == ["full seed 0: adapt 1/100"]
    clock.now += 59
    assert show("adapt", 30) == []  # a quarter, but less than a minute after the last line
    clock.now += 1
    assert show("adapt", 31) == ["full seed 0: adapt 31/100"]
    clock.now += 1000
    assert show("adapt", 49) == []
    assert show("adapt", 50) == ["full seed 0: adapt 50/100"]
    assert show("done", 100) == ["full seed 0: done"]
    clock.now += 100
    assert show("done", 100) == []


def test_a_plain_line_has_all_fields() -> None:
    s = RunState("-gmp", 3, "adapt", 120, 400, {"total": 1.2345, "mlm": 0.5}, 61.23, 65.4)
    assert plain_line(s) == "-gmp seed 3: adapt 120/400 total=1.23 mlm=0.5 Rank-1 61.2 val left 1:05"
    s = RunState("-gmp", 3, "failed", 120, 400, {"total": 1.0}, None, None, "ValueError: no")
    assert plain_line(s) == "-gmp seed 3: failed ValueError: no"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00"), (7384, "2:03:04")],
)
def test_clock_text(seconds: float | None, text: str) -> None:
    assert clock_text(seconds) == text


def test_displays_say_of_which_split_rank_1_is() -> None:
    """It is of val while a run goes on, and of test at its end."""
    board = Board([KEY], Clock())
    board.report(KEY, at("adapt", 1, rank_1=62.0))
    assert plain_line(state(board)) == "full seed 0: adapt 1/100 Rank-1 62.0 val"
    board.end(KEY, rank_1=22.0)
    assert plain_line(state(board)) == "full seed 0: done Rank-1 22.0 test"


def test_the_live_table_has_a_line_for_each_run() -> None:
    states = [RunState("full", 0, "adapt", 3, 9, {"loss": 2.0}, 50.0, 61.0), RunState("-gmp", 1, "done", rank_1=48.0)]
    console = Console(file=io.StringIO(), width=120)
    console.print(progress_table(states, "1 of 2 finished, 2:05 elapsed", 120))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1 of 2 finished, 2:05 elapsed" in text
    for cell in ("full", "adapt", "3/9", "loss=2", "50.0", "1:01", "-gmp", "done", "48.0"):
        assert cell in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_the_live_display() -> None:
    terminal = Terminal()
    shown = display(terminal)
    assert isinstance(shown, LiveDisplay)
    with shown:
        shown.show([RunState("full", 0, "adapt", 3, 9)])
    assert "full" in terminal.getvalue()
    assert isinstance(display(io.StringIO()), PlainDisplay)


def test_dataset_progress_is_one_line_outside_a_terminal() -> None:
    out = io.StringIO()
    show = dataset_progress(out)
    for done in range(1, 5):
        show("a/B", done, 4)
    assert out.getvalue() == "a/B: 4/4 images\n"


def test_no_number_of_the_live_table_is_cut_at_80_columns() -> None:
    losses = {f"source_{name}": 1.234 for name in ("contrastive", "intra", "matching", "mlm")}
    states = [RunState("graph.propagate.k=25,residual=0.4", 10, "pretrain", 12345, 54321, losses, 50.0, 7384.0)]
    console = Console(file=io.StringIO(), width=80)
    console.print(progress_table(states, "0 of 1 finished", 80))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for cell in ("12345/54321", "50.0", "2:03:04", "pretrain"):
        assert cell in text
    assert "…" not in text and "mlm" not in text


def test_running_runs_are_shown_before_the_others() -> None:
    stages = ["done", "waiting", "adapt", "failed", "waiting", "pretrain"]
    states = [RunState("full", seed, stage) for seed, stage in enumerate(stages)]
    assert [s.stage for s in most_important(states, 4)] == ["done", "adapt", "failed", "pretrain"]
    assert most_important(states, 9) == states


def table_states() -> list[RunState]:
    """Two source models, one of them trained in 100 s; full takes 40 s a run, the source model 2 s, -gmp is unknown."""
    return [
        RunState("pre-training", 0, "done", seconds=100.0),
        RunState("pre-training", 1, "pretrain", 5, 10, left=30.0, seconds=60.0),
        RunState("full", 0, "done", seconds=40.0, source_rank_1=80.0),
        RunState("full", 1),
        RunState("source-model", 0, "done", seconds=2.0, source_rank_1=85.0),
        RunState("source-model", 1),
        RunState("-gmp", 0, "adapt", 3, 4, left=10.0, seconds=50.0),
        RunState("-gmp", 1),
    ]


def test_the_time_left_is_that_of_all_runs_over_those_at_a_time() -> None:
    """Left: source model max(30, 95 - 60), full 40, the source model's run 2, -gmp 10 and 60; two run at a time."""
    assert seconds_left(table_states()) == pytest.approx((35 + 40 + 2 + 10 + 60) / 2)
    unknown = [RunState("pre-training", 0, "pretrain", 5, 10, left=30.0, seconds=60.0), RunState("full", 0)]
    assert seconds_left(unknown) is None
    assert seconds_left([RunState("full", 0, "done", seconds=3.0)]) == 0


def test_the_best_row_is_chosen_on_source_val_over_common_seeds() -> None:
    states = table_states()
    assert best_row(states) == "source-model 85.0 (seed 0)"
    assert best_row([state for state in states if state.row == "full"]) == ""
    states[3] = RunState("full", 1, "done", rank_1=99.0, source_rank_1=99.0)  # a seed that the other row lacks
    assert best_row(states) == "source-model 85.0 (seed 0)"


def test_a_pipe_gets_the_status_of_the_table_when_a_run_ends() -> None:
    out, states = io.StringIO(), table_states()
    plain = PlainDisplay(out, Clock(), table_status)
    plain.show([RunState(state.row, state.seed) for state in states])
    first = [RunState(s.row, s.seed, "done") if s.row == "pre-training" else RunState(s.row, s.seed) for s in states]
    plain.show(first)
    assert "runs finished" not in out.getvalue()  # a source model is no run of the table
    plain.show(states)
    line = "2 of 6 runs finished, about 1:14 left, best by source val Rank-1: source-model 85.0 (seed 0)"
    assert out.getvalue().splitlines()[-1] == line
    plain.show(states)
    assert out.getvalue().count("runs finished") == 1


def test_the_board_measures_the_seconds_of_a_run() -> None:
    clock = Clock()
    board = Board([KEY], clock)
    clock.now += 1000
    assert state(board).seconds == 0
    board.report(KEY, at("data", 0))
    clock.now += 7
    assert state(board).seconds == 7
    board.end(KEY, rank_1=60.0, source_rank_1=81.0)
    clock.now += 7
    assert (state(board).seconds, state(board).source_rank_1) == (7, 81.0)


def test_reports_are_answered_with_a_request_to_stop() -> None:
    board = Board([KEY])
    assert board.report(KEY, Progress("adapt", 1, 4, {}, None)) is False
    board.stop()
    assert board.report(KEY, Progress("adapt", 2, 4, {}, None)) is True
    board.end(KEY, message="interrupted")
    assert board.report(KEY, Progress("adapt", 3, 4, {}, None)) is True


def test_a_row_that_trains_with_target_labels_is_not_the_best() -> None:
    supervised = RunState("supervised", 0, "done", rank_1=99.0, source_rank_1=99.0)
    states = [*table_states(), supervised]
    assert "best by source val Rank-1: supervised 99.0" in table_status(states)
    assert "best by source val Rank-1: source-model 85.0" in table_status(states, with_labels={"supervised"})

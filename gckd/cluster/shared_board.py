"""Progress board of a cluster: an actor on the node of the driver."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gckd.interruption import request_interruption
from gckd.runs.progress_board import Board
from gckd.runs.run_state import ENDED, WAITING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gckd.progress import Progress

SAVE_SECONDS = 20.0  # for the checkpoints of interrupted runs; a spot notice leaves 30 s to two minutes
_SECONDS_BETWEEN_QUESTIONS = 0.5


def shared_board(ray: Any, runs: Sequence[tuple[str, int]] = ()) -> Any:
    """Start a Board as an actor on the driver's node. If its process dies, it restarts empty.

    On another node, the loss of that node would block the driver until Ray notices it.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    same_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": same_node}
    return ray.remote(**options)(Board).remote(runs)


class BoardReport:
    """Sends progress to a board, and interrupts this process once an answer says that the run has to stop."""

    def __init__(self, board: Any, line: tuple[str, int]) -> None:
        self._board, self._line = board, line
        self._answer: Any = None

    def __call__(self, progress: Progress) -> None:
        import ray

        if self._answer is not None and ray.wait([self._answer], timeout=0)[0] and ray.get(self._answer):
            request_interruption()
        self._answer = self._board.report.remote(self._line, progress)


def save_running(ray: Any, board: Any, lines: Collection[tuple[str, int]]) -> None:
    """Let the runs of these lines save checkpoints of their current steps and stop; waits for them.

    A run that has not reported yet has no step to save.
    """
    board.stop.remote()
    end = time.monotonic() + SAVE_SECONDS
    while time.monotonic() < end:
        states = ray.get(board.snapshot.remote())
        if not any((state.row, state.seed) in lines and state.stage not in (WAITING, *ENDED) for state in states):
            break
        time.sleep(_SECONDS_BETWEEN_QUESTIONS)

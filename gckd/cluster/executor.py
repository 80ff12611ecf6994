"""Execution of a plan as Ray tasks: each run starts after its preparation and is recorded when it ends."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Generic

from gckd.cluster.connect import cluster, reachable_resources
from gckd.cluster.execution import Execution
from gckd.cluster.nodes import NodeRequirements, problems_of_nodes
from gckd.cluster.shared_board import SAVE_SECONDS, save_running, shared_board
from gckd.cluster.task_queue import TaskQueue
from gckd.cluster.tasks import Failure, Success, TaskContext, TaskResult
from gckd.cluster.worker_resources import WorkerResources, cluster_problems, worker_resources
from gckd.config import config_text
from gckd.config.config_file import CONFIG_FILE
from gckd.errors import InputError, LostInputError, reason_of
from gckd.runs.lost_input import lost_input
from gckd.runs.plan import FULL, Run, preparations
from gckd.runs.records import failed_record
from gckd.runs.run_outcome import OutcomeT, RunOutcome
from gckd.runs.run_state import PREPARATION
from gckd.runs.tracker import Trackers, on_test, parameters_of
from gckd.storage import atomic
from gckd.storage.path import StoragePath
from gckd.storage.run_tables import QUERIES_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gckd.interruption import Interruption

_POLL_SECONDS = 0.5


def execute(runs: Sequence[Run], execution: Execution[OutcomeT]) -> None:
    """Execute every run that is not recorded as finished. A failed run does not stop the others.

    Raises:
        InputError: see `gckd.cluster.connect.cluster`; or the cluster has too few resources for a run, or a node
            cannot reach the output, the cache, the data or the weights.
        LostInputError: a run failed, and its data or weights have disappeared. Finished runs are recorded.
        KeyboardInterrupt: Ctrl-C or SIGTERM. Finished runs are recorded, and no process is left.
    """
    if not all(map(execution.records.finished, runs)):
        workers = execution.concurrent * execution.workers
        with cluster(workers, execution.threads, nested=execution.workers > 1) as (ray, interruption):
            execute_on(ray, interruption, runs, execution)


def execute_on(ray: Any, interruption: Interruption, runs: Sequence[Run], execution: Execution[OutcomeT]) -> None:
    """Do the same on a connected Ray."""
    todo = [run for run in runs if not execution.records.finished(run)]
    if not todo:
        return
    resources = worker_resources(
        reachable_resources(ray),
        [run.config.device for run in todo],
        workers=execution.workers,
        threads=execution.threads,
        gpus=execution.gpus,
    )
    problems = cluster_problems(ray, resources, "run")
    if sum(node["Alive"] for node in ray.nodes()) > 1:
        out = execution.out or StoragePath.at(execution.records.folder)
        needs = NodeRequirements.of([run.config for run in todo], out, execution.cache)
        problems += problems_of_nodes(ray, needs)
    if problems:
        raise InputError(*problems)
    for run in todo:
        run.folder.mkdir(parents=True, exist_ok=True)
        atomic.write(run.folder / CONFIG_FILE, config_text(run.config))
        for name in ("error.txt", QUERIES_FILE):  # of an earlier attempt
            (run.folder / name).unlink(missing_ok=True)
    with execution.display:
        _PendingTasks(ray, todo, execution, resources).finish_all(interruption)


class _PendingTasks(Generic[OutcomeT]):
    """Tasks that have not ended."""

    def __init__(
        self, ray: Any, runs: Sequence[Run], execution: Execution[OutcomeT], resources: WorkerResources
    ) -> None:
        self._ray, self._execution, self._resources = ray, execution, resources
        first = preparations(runs)
        names = {key: (_preparation(run), run.seed) for key, run in first.items()}
        lines = [*names.values(), *((run.row, run.seed) for run in runs)]
        self._board = shared_board(ray, lines)
        context = TaskContext(
            execution.functions,
            execution.cache,
            execution.threads,
            self._board,
            execution.out or StoragePath.at(execution.records.folder),
        )
        self._queue = TaskQueue(ray, context, resources, execution.limit)
        for key, run in first.items():
            self._queue.add_preparation(key, names[key], run.config)
        for run in runs:
            self._queue.add_run(run)
        self._start = time.monotonic()

    def finish_all(self, interruption: Interruption) -> None:
        """Wait for all tasks, recording and showing their results."""
        waiting: list[Any] = []
        try:
            self._finish(waiting, interruption)
        except (KeyboardInterrupt, InputError, OSError):
            self._cancel(list(waiting))
            self._record_finished(waiting)
            raise
        self._execution.display.show(self._ray.get(self._board.snapshot.remote()))

    def _finish(self, waiting: list[Any], interruption: Interruption) -> None:
        snapshot = self._board.snapshot.remote()
        while waiting or self._queue.tasks:
            waiting += self._queue.submit(len(waiting))
            # No call here blocks for long, so that Ctrl-C works on an overloaded machine.
            done, waiting[:] = self._ray.wait(waiting, timeout=_POLL_SECONDS)
            for ref in done:
                self._end_task(ref)
            interruption.check()
            if self._ray.wait([snapshot], timeout=0)[0]:
                self._execution.display.show(self._ray.get(snapshot))
                snapshot = self._board.snapshot.remote()

    def _cancel(self, waiting: list[Any]) -> None:
        """Interrupt the runs, and give them time to save a checkpoint of their current step."""
        if self._resources.workers > 1:  # they receive no signal
            save_running(
                self._ray,
                self._board,
                [*self._queue.preparations.values(), *((run.row, run.seed) for run in self._queue.runs.values())],
            )
            return
        end = time.monotonic() + SAVE_SECONDS
        for ref in waiting:
            self._ray.cancel(ref)
        while waiting and time.monotonic() < end:
            _, waiting = self._ray.wait(waiting, num_returns=len(waiting), timeout=_POLL_SECONDS)

    def _record_finished(self, waiting: list[Any]) -> None:
        """Record the runs that ended while the others were interrupted."""
        ended, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0) if waiting else ([], [])
        for ref in ended:
            if ref in self._queue.runs and isinstance(self._result(ref), Success):
                self._end_task(ref)

    def _end_task(self, ref: Any) -> None:
        result = self._result(ref)
        if ref in self._queue.preparations:
            self._end(self._queue.preparations[ref], result)
            return
        run, execution = self._queue.runs[ref], self._execution
        if isinstance(result, Failure):
            atomic.write(run.folder / "error.txt", result.trace)
            execution.records.add(failed_record(run, result.line, result.seconds, execution.provenance))
        else:
            assert result.result is not None
            execution.records.finish(run, result.result, execution.provenance)
            row = execution.tracked_rows.get(run.row, run.row)
            track_run(execution.trackers, f"{row} seed {run.seed}", run, result.result)
        execution.after_run()
        self._end((run.row, run.seed), result)
        if isinstance(result, Failure) and result.lost_input:
            place = "" if lost_input(run.config) else f" (on node {result.node})"  # the driver can still read it
            raise LostInputError(result.lost_input + place)

    def _result(self, ref: Any) -> TaskResult[OutcomeT]:
        """Result of a task. A dead worker, and a result that cannot be unpickled, count as failures."""
        try:
            result: TaskResult[OutcomeT] = self._ray.get(ref)
        except (self._ray.exceptions.RayError, ImportError, AttributeError) as error:
            return Failure(f"{type(error).__name__}: {reason_of(error)}", str(error), time.monotonic() - self._start)
        return result

    def _end(self, key: tuple[str, int], result: TaskResult[OutcomeT]) -> None:
        if isinstance(result, Failure):
            self._board.end.remote(key, message=result.line)
        else:
            outcome = result.result
            ranks = {"rank_1": outcome.rank_1, "source_rank_1": outcome.source_rank_1} if outcome else {}
            self._board.end.remote(key, **ranks)


def track_run(trackers: Trackers, name: str, run: Run, result: RunOutcome) -> None:
    """Log a finished run of a table under `name`. A tuning run, which ends with scores alone, is not logged."""
    from gckd.training.run import RunResult

    if not isinstance(result, RunResult):
        return
    parameters = parameters_of({"seed": run.seed, **json.loads(run.edits_text)})
    trackers.add_finished(name, parameters, result.curves, on_test(result.metrics))


def _preparation(run: Run) -> str:
    """Name of the preparation in the display; `run` is the first run that needs it."""
    return PREPARATION if run.row == FULL else f"{PREPARATION} {run.row}"

"""Runs a plan as Ray tasks: preparations first, each run as soon as its own is there, records as they finish."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gckd.cluster import tasks
from gckd.cluster.connect import cluster, reachable_resources
from gckd.cluster.shared_board import shared_board
from gckd.cluster.tasks import Failure, RunFunctions, TaskContext, TaskResult
from gckd.config import config_text
from gckd.errors import reason_of
from gckd.runs.plan import FULL, Run, preparations
from gckd.runs.provenance import Provenance
from gckd.runs.records import QUERIES_FILE, Records, failed_record
from gckd.storage.path import StoragePath

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from gckd.runs.progress_display import Display
    from gckd.runs.signals import Interruption
    from gckd.storage.cache import CachePath

_SECONDS_BETWEEN_LOOKS = 0.5


@dataclass
class Execution:
    """How to run a plan, and where its results go.

    out: where the checkpoints go; None: to the records. after_run: called when one has been recorded.
    """

    records: Records
    provenance: Provenance
    cache: Path | CachePath
    display: Display
    workers: int = 1
    threads: int = 1
    entry: RunFunctions = field(default_factory=RunFunctions)
    out: StoragePath | None = None
    after_run: Callable[[], None] = lambda: None


def execute(runs: Sequence[Run], execution: Execution) -> None:
    """Does every run that `execution.records` does not have yet. A run that fails leaves the others running.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; what had finished is recorded, and no process is left.
    """
    todo = [run for run in runs if not execution.records.finished(run)]
    if not todo:
        return
    for run in todo:
        run.folder.mkdir(parents=True, exist_ok=True)
        (run.folder / "config.yaml").write_text(config_text(run.config), encoding="utf-8")
        for of_an_earlier_try in ("error.txt", QUERIES_FILE):
            (run.folder / of_an_earlier_try).unlink(missing_ok=True)
    with cluster(execution.workers, execution.threads) as (ray, interruption), execution.display:
        _Launcher(ray, todo, execution).work(interruption)


class _Launcher:
    """The tasks in flight, by their object reference."""

    def __init__(self, ray: Any, runs: Sequence[Run], execution: Execution) -> None:
        self._ray, self._how = ray, execution
        first = preparations(runs)
        names = {key: (_preparation(run), run.seed) for key, run in first.items()}
        lines = [*names.values(), *((run.row, run.seed) for run in runs)]
        self._board = shared_board(ray, lines)
        job = TaskContext(
            execution.entry,
            execution.cache,
            execution.threads,
            self._board,
            execution.out or StoragePath.at(execution.records.folder),
        )
        # Ray runs a system failure (a worker that was killed) once more; the run goes on from its checkpoint.
        options = resources(runs, execution.threads, reachable_resources(ray)) | {"max_retries": 1}
        prepare, do = ray.remote(**options)(tasks.prepare), ray.remote(**options)(tasks.run)
        prepared = {key: prepare.remote(job, names[key], run.config) for key, run in first.items()}
        self._preparing = {ref: names[key] for key, ref in prepared.items()}
        self._running = {do.remote(prepared[r.preparation], job, (r.row, r.seed), r): r for r in runs}
        self._start = time.monotonic()

    def work(self, interruption: Interruption) -> None:
        waiting = [*self._preparing, *self._running]
        view = self._board.snapshot.remote()
        while waiting:
            # Nothing here waits for long, so that Ctrl-C is answered even where the machine is overloaded.
            done, waiting = self._ray.wait(waiting, timeout=_SECONDS_BETWEEN_LOOKS)
            for ref in done:
                self._finish(ref)
            interruption.check()
            if self._ray.wait([view], timeout=0)[0]:
                self._how.display.show(self._ray.get(view))
                view = self._board.snapshot.remote()
        self._how.display.show(self._ray.get(self._board.snapshot.remote()))

    def _finish(self, ref: Any) -> None:
        outcome = self._outcome(ref)
        if ref in self._preparing:
            self._end(self._preparing[ref], outcome)
            return
        run, execution = self._running[ref], self._how
        if isinstance(outcome, Failure):
            (run.folder / "error.txt").write_text(outcome.trace, encoding="utf-8")
            execution.records.add(failed_record(run, outcome.line, outcome.seconds, execution.provenance))
        else:
            assert outcome.result is not None
            execution.records.finish(run, outcome.result, execution.provenance)
        execution.after_run()
        self._end((run.row, run.seed), outcome)

    def _outcome(self, ref: Any) -> TaskResult:
        """The task's own outcome; a worker that died, or a result that cannot be read, is a failure too."""
        try:
            outcome: TaskResult = self._ray.get(ref)
        except (self._ray.exceptions.RayError, ImportError, AttributeError) as error:
            return Failure(f"{type(error).__name__}: {reason_of(error)}", str(error), time.monotonic() - self._start)
        return outcome

    def _end(self, key: tuple[str, int], outcome: TaskResult) -> None:
        if isinstance(outcome, Failure):
            self._board.end.remote(key, message=outcome.line)
        else:
            rank_1 = outcome.result.metrics["rank_1"] if outcome.result else None
            self._board.end.remote(key, rank_1=rank_1)


def resources(runs: Sequence[Run], threads: int, there: Mapping[str, float]) -> dict[str, int]:
    """What a task asks of Ray: its threads, and a GPU where there are any and a run would use one.

    Ray hides GPUs from tasks that ask for none.
    """
    gpu = there.get("GPU", 0) >= 1 and any(run.config.device != "cpu" for run in runs)
    return {"num_cpus": threads} | ({"num_gpus": 1} if gpu else {})


def _preparation(run: Run) -> str:
    """What the display calls the preparation that `run` is the first to need."""
    return "pre-training" if run.row == FULL else f"pre-training {run.row}"

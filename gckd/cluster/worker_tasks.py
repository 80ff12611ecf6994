"""Ray tasks of a run on several workers: a driver, which starts the workers on Ray Train and waits for them.

This module imports Ray: import it after connecting to a cluster.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ray.train import WorkerGroupError

from gckd.cluster.tasks import Failure
from gckd.cluster.train_group import run_workers
from gckd.errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gckd.cluster.tasks import TaskContext, TaskResult
    from gckd.cluster.worker_resources import WorkerResources
    from gckd.runs.run_outcome import RunOutcome

_ATTEMPTS = 2  # if a worker or its node dies; the second resumes from the checkpoint
_INTERRUPTED = "interrupted"


class _FailedWorkerError(Exception):
    """Error of a worker. Ray Train then stops the other workers, which wait for it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


def on_workers(
    function: Callable[..., TaskResult[RunOutcome]],
    resources: WorkerResources,
    name: str,
    context: TaskContext,
    *arguments: Any,
) -> TaskResult[RunOutcome]:
    """Result of `function(context, *arguments)` on the first of several workers, which all call it; or a failure.

    Args:
        function: of `gckd.cluster.tasks`.
        name: unique to the function and the config.
        arguments: the first is the row and the seed in the display. If a failure is among them, it is returned, and no
            worker is started.
    """
    for argument in arguments:
        if isinstance(argument, Failure):
            return argument
    work = {"function": function, "context": context, "arguments": arguments}
    start, failure = time.monotonic(), Failure("", "", 0.0)
    for _ in range(_ATTEMPTS):
        # In a thread, because in the main thread Ray Train would handle Ctrl-C, by killing the workers.
        with ThreadPoolExecutor(1) as pool:
            fit = pool.submit(run_workers, _worker, work, resources, name=name, storage=str(context.out / "train"))
            try:
                result: TaskResult[RunOutcome] = fit.result()
                return result
            except WorkerGroupError as error:
                deaths = [e for e in error.worker_failures.values() if not isinstance(e, _FailedWorkerError)]
                if not deaths:
                    return _first_failure(error)
                line = f"{type(deaths[0]).__name__}: {reason_of(deaths[0])}"
                failure = Failure(line, str(error), time.monotonic() - start)
    return failure


def _first_failure(error: WorkerGroupError) -> Failure:
    """Failure of the first worker that failed: others may have failed because it was missing."""
    errors = error.worker_failures.values()
    return min((e.failure for e in errors if isinstance(e, _FailedWorkerError)), key=lambda failure: failure.seconds)


def _worker(work: dict[str, Any]) -> TaskResult[RunOutcome]:
    context, arguments = work["context"], work["arguments"]
    start = time.monotonic()
    try:
        result: TaskResult[RunOutcome] = work["function"](context, *arguments)
    except KeyboardInterrupt:  # in the first worker, by the board; the checkpoint is saved
        context.board.end.remote(arguments[0], message=_INTERRUPTED)
        result = Failure(_INTERRUPTED, "", time.monotonic() - start)
    if isinstance(result, Failure):
        raise _FailedWorkerError(result)
    return result

"""Ray tasks of a run. They are in the package so that workers can unpickle them."""

from __future__ import annotations

import importlib
import os
import platform
import textwrap
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

from gckd.cluster.shared_board import BoardReport
from gckd.plugins import check_plugins
from gckd.runs.lost_input import lost_input
from gckd.runs.run_outcome import OutcomeT, RunOutcome
from gckd.runs.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gckd.config import Config
    from gckd.progress import ProgressCallback
    from gckd.runs.plan import Run
    from gckd.storage.cache import CachePath
    from gckd.storage.path import StoragePath

_MESSAGE_CHARACTERS = 400  # an error of PyTorch may contain a C++ stack


@dataclass(frozen=True)
class RunFunctions:
    """Functions of a run, as `module:name`: workers import them, and tests replace them.

    prepare: fills the cache. run: trains and measures. score: trains and scores without target labels.
    """

    prepare: str = "gckd.training.run:prepare_run"
    run: str = "gckd.training.run:train_run"
    score: str = "gckd.training.scored_run:train_and_score"


@dataclass(frozen=True)
class TaskContext:
    """Arguments that all tasks of a table share."""

    functions: RunFunctions
    cache: Path | CachePath
    threads: int
    board: Any  # actor handle of a Board
    out: StoragePath  # output of the table

    def progress_callback(self, key: tuple[str, int]) -> ProgressCallback:
        """Callback that sends the progress of a run to the board. Of several workers, only the first one sends."""
        from gckd.distributed import rank

        if rank():
            return lambda progress: None
        return Throttle(BoardReport(self.board, key))


@dataclass(frozen=True)
class Failure:
    """Exception of a task, caught on the worker.

    line: type and message, shortened. lost_input: see `gckd.runs.lost_input.lost_input`, on the worker. node: its name.
    """

    line: str
    trace: str
    seconds: float
    lost_input: str = ""
    node: str = ""


@dataclass(frozen=True)
class Success(Generic[OutcomeT]):
    """Result of a task; None for a preparation."""

    result: OutcomeT | None


TaskResult = Success[OutcomeT] | Failure


def prepare(context: TaskContext, key: tuple[str, int], config: Config) -> TaskResult[RunOutcome]:
    """Fill the cache with data, vocabulary and source model, so that no run waits for another run."""

    def work(report: ProgressCallback) -> None:
        _imported(context.functions.prepare)(config, cache=context.cache, report=report)

    return _guarded(context, key, config, work)


def run(
    context: TaskContext, key: tuple[str, int], planned: Run, prepared: TaskResult[RunOutcome]
) -> TaskResult[RunOutcome]:
    """Execute a run. If its preparation failed, return that failure."""
    if isinstance(prepared, Failure):
        return prepared

    def work(report: ProgressCallback) -> RunOutcome:
        out = planned.checkpoint_folder(context.out)
        result: RunOutcome = _imported(context.functions.run)(
            planned.config, cache=context.cache, out=out, report=report
        )
        return result

    return _guarded(context, key, planned.config, work)


def _guarded(
    context: TaskContext, key: tuple[str, int], config: Config, work: Callable[[ProgressCallback], RunOutcome | None]
) -> TaskResult[RunOutcome]:
    start = time.monotonic()
    try:
        check_plugins()
        _use_threads(context.threads)
        return Success(work(context.progress_callback(key)))
    except Exception as error:
        text = "".join(traceback.format_exception_only(error))
        return Failure(
            textwrap.shorten(text, _MESSAGE_CHARACTERS, placeholder=" ..."),
            traceback.format_exc(),
            time.monotonic() - start,
            lost_input(config),
            platform.node(),
        )


def _use_threads(threads: int) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)


def _imported(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function

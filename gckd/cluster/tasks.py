"""What a Ray worker does for a run. Here, in the package, because workers unpickle it."""

from __future__ import annotations

import importlib
import os
import textwrap
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gckd.runs.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gckd.config import Config
    from gckd.progress import Progress
    from gckd.runs.plan import Run
    from gckd.storage.cache import CachePath
    from gckd.storage.path import StoragePath
    from gckd.training.run import RunResult

_LINE = 400  # characters; an error of PyTorch may hold the stack of its C++


@dataclass(frozen=True)
class RunFunctions:
    """The functions that prepare and do a run, as `module:name`: importable on a worker, replaceable in a test."""

    prepare: str = "gckd.training.run:prepare_run"
    run: str = "gckd.training.run:train_run"


@dataclass(frozen=True)
class TaskContext:
    """What tasks of one table have in common."""

    entry: RunFunctions
    cache: Path | CachePath
    threads: int
    board: Any  # actor handle of a Board
    out: StoragePath  # of the table


@dataclass(frozen=True)
class Failure:
    """An exception that was caught where it happened."""

    line: str  # its type and message, cut off where it is long
    trace: str
    seconds: float


@dataclass(frozen=True)
class Success:
    """A run's result; None after a preparation."""

    result: RunResult | None


TaskResult = Success | Failure


def prepare(job: TaskContext, key: tuple[str, int], config: Config) -> TaskResult:
    """Data, vocabulary and source pre-training into the cache, so that no run waits for another's."""

    def work(report: Callable[[Progress], None]) -> None:
        _load(job.entry.prepare)(config, cache=job.cache, report=report)

    return _guarded(job, key, work)


def run(prepared: TaskResult, job: TaskContext, key: tuple[str, int], item: Run) -> TaskResult:
    """The run itself; a preparation that failed is its failure too."""
    if isinstance(prepared, Failure):
        return prepared

    def work(report: Callable[[Progress], None]) -> RunResult:
        out = item.checkpoint_folder(job.out)
        result: RunResult = _load(job.entry.run)(item.config, cache=job.cache, out=out, report=report)
        return result

    return _guarded(job, key, work)


def _guarded(
    job: TaskContext, key: tuple[str, int], work: Callable[[Callable[[Progress], None]], RunResult | None]
) -> TaskResult:
    start = time.monotonic()
    try:
        _use_threads(job.threads)
        return Success(work(Throttle(lambda progress: job.board.report.remote(key, progress))))
    except Exception as error:
        said = "".join(traceback.format_exception_only(error))
        return Failure(
            textwrap.shorten(said, _LINE, placeholder=" ..."), traceback.format_exc(), time.monotonic() - start
        )


def _use_threads(threads: int) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)


def _load(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function

"""Reasons of failed trials, as Tune knows them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Callback

if TYPE_CHECKING:
    from collections.abc import Sequence


class FailureReasons(Callback):
    """Callback of Tune's RunConfig, and the `failure_reason` of `gckd.tune.searcher.StudySearcher`.

    Tune tells a searcher only that a trial failed; the exception is in a file of Tune's trial.
    """

    def __init__(self) -> None:
        self._trials: Sequence[Any] = ()

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Keeps a reference to Tune's list of trials, which Tune extends."""
        self._trials = trials

    def __call__(self, trial_id: str) -> str:
        """The exception that a trial raised, or how its worker died, in one line."""
        return next((_reason(trial) for trial in self._trials if trial.trial_id == trial_id), "unknown error")


def _reason(trial: Any) -> str:
    # Tune keeps the exception itself in a pickle file, which would run code that somebody else put there.
    file = trial.error_file
    text = Path(file).read_text(encoding="utf-8", errors="replace") if file and Path(file).exists() else ""
    return last_message(text) or f"unknown error; see {trial.local_path}"


def last_message(text: str) -> str:
    """Type and message of the last exception in Tune's `error.txt`, in one line; empty if the text has none.

    Args:
        text: for each attempt a line that begins with "Failure #", then the traceback, whose frames are indented.
    """
    lines = text.rpartition("Failure #")[2].splitlines()[1:]
    frames = [number for number, line in enumerate(lines) if line[:1].isspace()]
    message = " ".join(" ".join(lines[frames[-1] + 1 if frames else 0 :]).split())
    return re.sub(r"^(\w+\.)+(?=\w+(:|$))", "", message)

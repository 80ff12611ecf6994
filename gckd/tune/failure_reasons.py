"""Reasons of failed trials, as Tune knows them."""

from __future__ import annotations

import pickle
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
    file = trial.pickled_error_file
    if not file or not Path(file).exists():
        return f"unknown error; see {trial.local_path}"
    error = pickle.loads(Path(file).read_bytes())  # noqa: S301 (written by this process's Tune)
    cause = getattr(error, "cause", None) or error
    return " ".join(f"{type(cause).__name__}: {cause}".split())

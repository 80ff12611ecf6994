"""Why one of Tune's trials failed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Callback

if TYPE_CHECKING:
    from collections.abc import Sequence


class Failures(Callback):
    """For `tune.searcher.Bridge(why=...)`, and among the callbacks of Tune's RunConfig.

    Tune tells a searcher only that a trial failed, and its callbacks once that has been told.
    """

    def __init__(self) -> None:
        self._trials: Sequence[Any] = ()

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Keeps Tune's own list of its trials, which grows."""
        self._trials = trials

    def __call__(self, trial_id: str) -> str:
        """One line: the exception that a trial raised, or how its worker died."""
        return next((_error(trial) for trial in self._trials if trial.trial_id == trial_id), "it failed")


def _error(trial: Any) -> str:
    file = trial.pickled_error_file
    if not file or not Path(file).exists():
        return f"it failed; see {trial.local_path}"
    error = pickle.loads(Path(file).read_bytes())  # noqa: S301 (written by this very Tune)
    cause = getattr(error, "cause", None) or error
    return " ".join(f"{type(cause).__name__}: {cause}".split())

"""What a trial reports, written into the study as it comes, and how it ended."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState

from gckd.tune.study import EPOCH, MEMORY, REASON, SECONDS
from gckd.tune.trial_table import epochs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna import Study
    from optuna.trial import Trial
import pickle
from pathlib import Path

from ray.tune import Callback

if TYPE_CHECKING:
    from collections.abc import Sequence

# What a trainable reports after each epoch, beside EPOCH, SECONDS, MEMORY and a key for each objective. REASON says
# in its own words why it gives up.
SCORES = "scores"  # name -> label-free score
LAST = "done_all"  # true at the last epoch; a trial that ends without it was stopped by the scheduler


class Outcomes:
    """The results of the trials of a study that run here, by Tune's trial id."""

    def __init__(self, study: Study, objectives: Mapping[str, str]) -> None:
        """Objectives: key of the result -> "max" or "min"; the first one selects the epoch."""
        self._study = study
        self._objectives = dict(objectives)
        self._last: dict[str, Mapping[str, Any]] = {}
        self._bad: dict[str, dict[int, str]] = {}  # epoch -> what is wrong with its values; empty: nothing is

    def note(self, trial_id: str, trial: Trial, result: Mapping[str, Any]) -> None:
        """Notes the epoch that `result` (flattened, as Tune does) is of; nothing if it is noted, or there is none."""
        self._last[trial_id] = result
        epoch = result.get(EPOCH)
        if epoch is None or f"epoch/{epoch}" in trial.user_attrs:
            return
        values = {name: _finite(result.get(name)) for name in self._objectives}
        wrong = [f"epoch {epoch}: {name} is {result.get(name)!r}" for name, value in values.items() if value is None]
        self._bad.setdefault(trial_id, {})[epoch] = "; ".join(wrong)
        told = [value for value in values.values() if value is not None]
        if wrong:
            return
        if len(told) == 1:
            trial.report(told[0], epoch)
        else:  # Optuna takes no intermediate values of several objectives
            trial.set_user_attr(f"values/{epoch}", told)
        seconds = {SECONDS: _finite(result.get(SECONDS))}
        trial.set_user_attr(f"epoch/{epoch}", {**_scores(result), **seconds, "value": told[0]})
        memory = _finite(result.get(MEMORY)) or 0.0
        if memory > trial.user_attrs.get(MEMORY, 0.0):
            trial.set_user_attr(MEMORY, memory)

    def tell(self, trial_id: str, trial: Trial, failure: str = "") -> None:
        """Tells Optuna how the trial ended.

        Args:
            failure: what Tune knows of why it failed; empty if it did not.
        """
        last = self._last.pop(trial_id, {})
        said = epochs(self._study.get_trials(deepcopy=False)[trial.number])
        bad = next(filter(None, self._bad.pop(trial_id, {}).values()), "")
        selected = self._selected(said) if said else None
        if selected is not None:
            trial.set_user_attr(EPOCH, selected)
            trial.set_user_attr(SECONDS, said[max(said)][SECONDS])
        given_up = str(last.get(REASON) or "")
        reason = (given_up or failure) if failure else (bad or given_up)
        if reason or selected is None:
            trial.set_user_attr(REASON, reason or "it ended before its first epoch")
            self._study.tell(trial, state=TrialState.FAIL)
        elif last.get(LAST):
            self._study.tell(trial, trial.user_attrs.get(f"values/{selected}", said[selected]["value"]))
        else:
            self._study.tell(trial, state=TrialState.PRUNED)

    def _selected(self, said: Mapping[int, Mapping[str, float]]) -> int:
        """The epoch with the best first objective; the earliest of those alike."""
        sign = -1 if next(iter(self._objectives.values())) == "min" else 1
        return max(said, key=lambda epoch: sign * said[epoch]["value"])


def _scores(result: Mapping[str, Any]) -> dict[str, float | None]:
    """None for what is not finite: JSON, and the dashboard with it, knows neither NaN nor infinity."""
    head = f"{SCORES}/"
    return {key.removeprefix(head): _finite(value) for key, value in result.items() if key.startswith(head)}


def _finite(value: Any) -> float | None:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) else None


class Failures(Callback):
    """For `gckd.tune.searcher.Bridge(why=...)`, and among the callbacks of Tune's RunConfig.

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

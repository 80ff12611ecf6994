"""Results of running trials: each epoch is written into the study when it is reported."""

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

# Keys of the result that a trainable reports after each epoch, beside EPOCH, SECONDS, MEMORY and the objectives. A
# trainable that gives up reports its REASON.
SCORES = "scores"  # name -> label-free score
LOST_INPUT = "lost_input"  # beside the reason: see `gckd.runs.lost_input.lost_input`, on the trial's node
LAST = "done_all"  # true at the last epoch; a trial that ends without it was stopped by the scheduler


class TrialResults:
    """Results of the trials that this search runs, by Tune's trial id."""

    def __init__(self, study: Study, objectives: Mapping[str, str]) -> None:
        """objectives: key of the result -> "max" or "min"; the first one selects the epoch."""
        self._study = study
        self._objectives = dict(objectives)
        self._last: dict[str, Mapping[str, Any]] = {}
        self._invalid: dict[str, dict[int, str]] = {}  # epoch -> its values that are no finite numbers ("": none)

    def add(self, trial_id: str, trial: Trial, result: Mapping[str, Any]) -> None:
        """Writes the epoch of `result` (flattened by Tune); ignores an epoch that is in the study already."""
        self._last[trial_id] = result
        epoch = result.get(EPOCH)
        if epoch is None or f"epoch/{epoch}" in trial.user_attrs:
            return
        by_name = {name: _finite(result.get(name)) for name in self._objectives}
        invalid = [f"epoch {epoch}: {name} is {result.get(name)!r}" for name, value in by_name.items() if value is None]
        self._invalid.setdefault(trial_id, {})[epoch] = "; ".join(invalid)
        values = [value for value in by_name.values() if value is not None]
        if invalid:
            return
        if len(values) == 1:
            trial.report(values[0], epoch)
        else:  # Optuna has no intermediate values for several objectives
            trial.set_user_attr(f"values/{epoch}", values)
        seconds = {SECONDS: _finite(result.get(SECONDS))}
        trial.set_user_attr(f"epoch/{epoch}", {**_scores(result), **seconds, "value": values[0]})
        memory = _finite(result.get(MEMORY)) or 0.0
        if memory > trial.user_attrs.get(MEMORY, 0.0):
            trial.set_user_attr(MEMORY, memory)

    def finish(self, trial_id: str, trial: Trial, failure: str = "") -> None:
        """Sets the state and the values of a trial that has ended.

        Args:
            failure: reason that Tune knows of; empty if the trial did not fail.
        """
        last = self._last.pop(trial_id, {})
        reported = epochs(self._study.get_trials(deepcopy=False)[trial.number])
        invalid = next(filter(None, self._invalid.pop(trial_id, {}).values()), "")
        selected = self._selected_epoch(reported) if reported else None
        if selected is not None:
            trial.set_user_attr(EPOCH, selected)
            trial.set_user_attr(SECONDS, reported[max(reported)][SECONDS])
        given_up = str(last.get(REASON) or "")
        reason = (given_up or failure) if failure else (invalid or given_up)
        if reason or selected is None:
            trial.set_user_attr(REASON, reason or "it ended before its first epoch")
            self._study.tell(trial, state=TrialState.FAIL)
        elif last.get(LAST):
            self._study.tell(trial, trial.user_attrs.get(f"values/{selected}", reported[selected]["value"]))
        else:
            self._study.tell(trial, state=TrialState.PRUNED)

    def _selected_epoch(self, reported: Mapping[int, Mapping[str, float]]) -> int:
        """The epoch with the best first objective; the earliest of equals."""
        sign = -1 if next(iter(self._objectives.values())) == "min" else 1
        return max(reported, key=lambda epoch: sign * reported[epoch]["value"])


def _scores(result: Mapping[str, Any]) -> dict[str, float | None]:
    """Scores of a result; None for a value that is not finite, as JSON has neither NaN nor infinity."""
    head = f"{SCORES}/"
    return {key.removeprefix(head): _finite(value) for key, value in result.items() if key.startswith(head)}


def _finite(value: Any) -> float | None:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) else None

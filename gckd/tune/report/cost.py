"""Cost and failures of a search: tables of the report."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState

from gckd.report.html.page import NONE, Table, duration
from gckd.tune.report.tables import number
from gckd.tune.study import DUPLICATE_OF, EDITS, MEMORY, REASON, REFUSED, RESOURCES, SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna import Study
    from optuna.trial import FrozenTrial

_STATES = {
    "COMPLETE": "finished",
    "PRUNED": "stopped early",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}
CONFIRMATION_SECONDS = "confirmation_seconds"  # user_attr of a study
_DUPLICATE, _REFUSED = "duplicate, not run", "refused, not run"


def cost_table(study: Study) -> Table:
    """Trials, time and memory."""
    trials = study.get_trials(deepcopy=False)
    counts = Counter(map(_state, trials))
    states = ", ".join(f"{counts[name]} {name}" for name in (*_STATES.values(), _DUPLICATE, _REFUSED) if counts[name])
    memory = _attributes(trials, MEMORY)
    confirmed = study.user_attrs.get(CONFIRMATION_SECONDS)
    saved = study.user_attrs.get("saved_seconds")
    lines = [
        ["trials", f"{len(trials)}: {states}" if trials else "0"],
        ["adaptation time of a finished trial", _median_and_range(trials, TrialState.COMPLETE)],
        ["adaptation time of a trial stopped early", _median_and_range(trials, TrialState.PRUNED)],
        ["adaptation time of all trials", duration(math.fsum(_attributes(trials, SECONDS)))],
        ["time from the first start to the last end, with pauses", _wall_time(trials)],
        ["largest peak memory of a trial", f"{number(max(memory))} GiB" if memory else NONE],
        ["compute of all trials", _compute(study, math.fsum(_attributes(trials, SECONDS)))],
        ["time of the confirmation, all runs", NONE if confirmed is None else duration(confirmed)],
        ["time saved by shared source models", NONE if saved is None else duration(saved)],
    ]
    return Table([], lines, text_columns=2)


def _compute(study: Study, seconds: float) -> str:
    """`1.5 GPU hours` of the last command's resources per trial, or CPU core hours; a dash if these are unknown.

    Args:
        seconds: of adaptation, of all trials.
    """
    resources = study.user_attrs.get(RESOURCES)
    if resources is None:
        return NONE
    each, unit = (resources["gpus"], "GPU") if resources["gpus"] else (resources["threads"], "CPU core")
    return f"{seconds * resources['workers'] * each / 3600:.3g} {unit} hours"


def _state(trial: FrozenTrial) -> str:
    if DUPLICATE_OF in trial.user_attrs:
        return _DUPLICATE
    return _REFUSED if trial.user_attrs.get(REFUSED) else _STATES[trial.state.name]


def _attributes(trials: Sequence[FrozenTrial], key: str) -> list[float]:
    return [float(trial.user_attrs[key]) for trial in trials if trial.user_attrs.get(key) is not None]


def _median_and_range(trials: Sequence[FrozenTrial], state: TrialState) -> str:
    seconds = _attributes([trial for trial in trials if trial.state == state], SECONDS)
    if not seconds:
        return NONE
    return f"median {duration(statistics.median(seconds))} ({duration(min(seconds))} to {duration(max(seconds))})"


def _wall_time(trials: Sequence[FrozenTrial]) -> str:
    starts = [trial.datetime_start for trial in trials if trial.datetime_start]
    ends = [trial.datetime_complete for trial in trials if trial.datetime_complete]
    return duration((max(ends) - min(starts)).total_seconds()) if starts and ends else NONE


def failure_table(study: Study) -> Table | None:
    """Failed trials with their reasons; None if there are none."""
    failed = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    body = [[str(trial.number), _reason(trial), _edits(trial)] for trial in failed]
    return Table(["trial", "reason", "hyperparameters"], body, text_columns=3) if body else None


def _reason(trial: FrozenTrial) -> str:
    reason = str(trial.user_attrs.get(REASON, "not recorded"))
    return f"{_REFUSED}: {reason}" if trial.user_attrs.get(REFUSED) else reason


def _edits(trial: FrozenTrial) -> str:
    edits: dict[str, Any] = trial.user_attrs.get(EDITS, {})
    return ", ".join(f"{path} = {number(value, 6)}" for path, value in sorted(edits.items())) or NONE

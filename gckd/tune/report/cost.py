"""What a search cost, what it lost, and how far its scores can be trusted: tables of the report."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState

from gckd.report.html.page import NONE, Table, duration
from gckd.tune.best import candidates
from gckd.tune.report.tables import number
from gckd.tune.study import EDITS, MEMORY, REASON, REFUSED, SECONDS, TWIN
from gckd.validators import SELECTORS, audit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna import Study
    from optuna.trial import FrozenTrial

    from gckd.tune.best import Candidate
    from gckd.validators import AuditRow

_STATES = {
    "COMPLETE": "finished",
    "PRUNED": "stopped early",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}
_TWIN, _REFUSED = "like an earlier one and not run again", "refused and never run"


def audit_rows(study: Study) -> tuple[list[Candidate], list[AuditRow]]:
    """The finished trials whose true Rank-1 and scores are all known, and what the audit says of each score."""
    needed = set(SELECTORS) - {"default"} | {"rank_me"}
    known = [c for c in candidates(study) if c.true_rank_1 is not None and needed <= c.scores.keys()]
    truth = [candidate.true_rank_1 or 0.0 for candidate in known]
    return known, audit([c.scores for c in known], truth, study.user_attrs["start"]) if known else []


def audited(known: Sequence[Candidate], rows: Sequence[AuditRow]) -> Table:
    """Each way to select: how it orders the trials, which it picks, and what that costs."""
    body = []
    for row in rows:
        how = row.correlation
        spearman = f"{how.spearman:+.2f} ({how.low:+.2f} to {how.high:+.2f})" if how else NONE
        picked = None if row.picked is None else known[row.picked]
        trial, truth = (None, None) if picked is None else (picked.trial.number, picked.true_rank_1)
        kendall = f"{how.kendall:+.2f}" if how else NONE
        body.append([row.select, spearman, kendall, number(trial), number(truth), f"{row.regret:.2f}"])
    head = ["selected by", "Spearman's rho (95 % interval)", "Kendall's tau", "picks trial", "true Rank-1, %"]
    return Table([*head, "oracle regret, points"], body)


def resources(study: Study) -> Table:
    """Trials, time and memory."""
    trials = study.get_trials(deepcopy=False)
    counts = Counter(map(_fate, trials))
    fates = ", ".join(f"{counts[fate]} {fate}" for fate in (*_STATES.values(), _TWIN, _REFUSED) if counts[fate])
    memory = _told(trials, MEMORY)
    saved = study.user_attrs.get("saved_seconds")
    lines = [
        ["trials", f"{len(trials)}: {fates}" if trials else "0"],
        ["adaptation of a finished trial", _spread(trials, TrialState.COMPLETE)],
        ["adaptation of a trial stopped early", _spread(trials, TrialState.PRUNED)],
        ["adaptation of all trials together", duration(math.fsum(_told(trials, SECONDS)))],
        ["from the first start to the last end, pauses included", _span(trials)],
        ["largest peak memory of a trial", f"{number(max(memory))} GiB" if memory else NONE],
        ["saved by sharing what trials have in common", NONE if saved is None else duration(saved)],
    ]
    return Table([], lines, text_columns=2)


def _fate(trial: FrozenTrial) -> str:
    if TWIN in trial.user_attrs:
        return _TWIN
    return _REFUSED if trial.user_attrs.get(REFUSED) else _STATES[trial.state.name]


def _told(trials: Sequence[FrozenTrial], key: str) -> list[float]:
    return [float(trial.user_attrs[key]) for trial in trials if trial.user_attrs.get(key) is not None]


def _spread(trials: Sequence[FrozenTrial], state: TrialState) -> str:
    seconds = _told([trial for trial in trials if trial.state == state], SECONDS)
    if not seconds:
        return NONE
    return f"median {duration(statistics.median(seconds))} ({duration(min(seconds))} to {duration(max(seconds))})"


def _span(trials: Sequence[FrozenTrial]) -> str:
    begun = [trial.datetime_start for trial in trials if trial.datetime_start]
    ended = [trial.datetime_complete for trial in trials if trial.datetime_complete]
    return duration((max(ended) - min(begun)).total_seconds()) if begun and ended else NONE


def failures(study: Study) -> Table | None:
    """Failed trials with their reasons; None where there are none."""
    lost = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    body = [[str(trial.number), _why(trial), _edits(trial)] for trial in lost]
    return Table(["trial", "reason", "hyperparameters"], body, text_columns=3) if body else None


def _why(trial: FrozenTrial) -> str:
    reason = str(trial.user_attrs.get(REASON, "none was recorded"))
    return f"{_REFUSED}: {reason}" if trial.user_attrs.get(REFUSED) else reason


def _edits(trial: FrozenTrial) -> str:
    edits: dict[str, Any] = trial.user_attrs.get(EDITS, {})
    return ", ".join(f"{path} = {number(value, 6)}" for path, value in sorted(edits.items())) or NONE

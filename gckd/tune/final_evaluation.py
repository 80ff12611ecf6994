"""Evaluation with target labels after the last trial: audit on val, and test metrics of the chosen trial."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from gckd.cluster.trial_audit import reachable, true_metrics
from gckd.printable import echo
from gckd.tune.best import audit_key, best, candidates
from gckd.validators.audit import METRICS
from gckd.validators.reliability import HALVES

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from gckd.tune.engine import Engine

_HALF_NAMES = tuple(itertools.chain.from_iterable(HALVES.values()))
TEST = "best_test"  # user_attr of a study: number and test metrics of the chosen trial


def audit(study: Study, engine: Engine) -> None:
    """Writes the true metrics on target val of every candidate into the study; the choice does not use them.

    It leaves out trials whose checkpoint cannot be reached: it was deleted, or is on another machine.
    """
    trials = [c.trial for c in candidates(study) if audit_key(c.trial.number) not in study.user_attrs]
    unaudited = [trial for trial in trials if reachable(trial_arguments(trial))]
    if len(unaudited) < len(trials):
        missing = len(trials) - len(unaudited)
        echo(f"audit: the checkpoints of {missing} of {len(trials)} trials cannot be read here; left out", err=True)
    arguments = [(engine.search, trial_arguments(trial), "val") for trial in unaudited]
    for trial, metrics in zip(unaudited, engine.try_tasks("audit", true_metrics, arguments), strict=False):
        study.set_user_attr(audit_key(trial.number), {n: metrics[n] for n in (*METRICS, *_HALF_NAMES) if n in metrics})


def evaluate_on_test(study: Study, engine: Engine) -> None:
    """Writes the metrics of the chosen trial on the target's test split into the study, once per chosen trial."""
    chosen = best(study)
    if (
        chosen is None
        or not reachable(trial_arguments(chosen.trial))
        or study.user_attrs.get(TEST, {}).get("number") == chosen.trial.number
    ):
        return
    arguments = [(engine.search, trial_arguments(chosen.trial), "test")]
    for metrics in engine.try_tasks("evaluation on test", true_metrics, arguments):
        of_all = {name: value for name, value in metrics.items() if name not in _HALF_NAMES}
        study.set_user_attr(TEST, {"number": chosen.trial.number, **of_all})


def trial_arguments(trial: FrozenTrial) -> dict[str, Any]:
    """Edits, folder and seeds of a trial, for a worker."""
    return {name: trial.user_attrs[name] for name in ("edits", "folder", "seeds")}

"""After the last trial: the audit by target labels, and one reading of the test split for the chosen trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gckd.cluster.trial_audit import reachable, true_metrics
from gckd.tune.best import audit_key, best, candidates

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from gckd.tune.engine import Engine

TEST = "best_test"


def audit(study: Study, engine: Engine) -> None:
    """Notes the true metrics on target val of every candidate in reach that has none yet; none is chosen by them.

    Another search on the study may work elsewhere, and checkpoints may have been deleted.
    """
    found_here = (c.trial for c in candidates(study) if reachable(given(c.trial)))
    todo = [trial for trial in found_here if audit_key(trial.number) not in study.user_attrs]
    found = engine.each(true_metrics, [(engine.search, given(trial), "val") for trial in todo])
    for trial, metrics in zip(todo, found, strict=True):
        study.set_user_attr(audit_key(trial.number), {name: metrics[name] for name in ("rank_1", "map")})


def read_test(study: Study, engine: Engine) -> None:
    """Notes the metrics of the chosen trial on the target's test split; once for each trial that is chosen."""
    chosen = best(study)
    if (
        chosen is None
        or not reachable(given(chosen.trial))
        or study.user_attrs.get(TEST, {}).get("number") == chosen.trial.number
    ):
        return
    (metrics,) = engine.each(true_metrics, [(engine.search, given(chosen.trial), "test")])
    study.set_user_attr(TEST, {"number": chosen.trial.number, **metrics})


def given(trial: FrozenTrial) -> dict[str, Any]:
    """What a worker must know of a trial: its edits, folder and seeds."""
    return {name: trial.user_attrs[name] for name in ("edits", "folder", "seeds")}

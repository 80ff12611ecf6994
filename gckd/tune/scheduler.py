"""Early-stopping schedulers: asynchronous successive halving (ASHA) over all trials of the study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from gckd.tune.plan import REDUCTION
from gckd.tune.trial_table import epochs

if TYPE_CHECKING:
    from optuna import Study


class StudyAsha(ASHAScheduler):
    """ASHA (Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020) with rungs from the study.

    Ray's scheduler loses its rungs when the driver ends: after a resume the first trials at each rung would always
    continue. This one fills its rungs with the results of earlier runs of the search, and of other searches on the
    study. Its time is the epoch of the project, which unlike Tune's `training_iteration` survives a resume.
    """

    def __init__(self, study: Study, metric: str, mode: str, max_epochs: int) -> None:
        super().__init__(
            time_attr="epoch", metric=metric, mode=mode, max_t=max_epochs, grace_period=1, reduction_factor=REDUCTION
        )
        sign = 1.0 if mode == "max" else -1.0
        finished = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
        for trial in finished:  # a trial that is resumed reports its epochs again
            reported = epochs(trial)
            for milestone, recorded in self._brackets[0]._rungs:
                value = reported.get(round(milestone), {}).get("value")
                if value is not None:
                    recorded[f"study/{trial.number}"] = sign * value


def make_scheduler(name: str, study: Study, metric: str, mode: str, max_epochs: int) -> TrialScheduler:
    """The scheduler called `name`, one of `gckd.tune.plan.SCHEDULERS`.

    Args:
        metric: key of the result that trials are compared by.
        mode: "max" or "min".
        max_epochs: evaluations of a trial.
    """
    if name == "asha":
        return StudyAsha(study, metric, mode, max_epochs)
    return FIFOScheduler()  # type: ignore[no-untyped-call]

"""Which trials go on: asynchronous successive halving by the project's own epoch, over all trials of the study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from gckd.tune.plan import REDUCTION
from gckd.tune.trial_table import epochs

if TYPE_CHECKING:
    from optuna import Study


class Asha(ASHAScheduler):
    """Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020.

    Ray's forgets its rungs when a driver ends, so that after a resume the first trials at each rung would always go
    on. This one fills them from the study: with what earlier runs of the search reported, and other searches on it.
    """

    def __init__(self, study: Study, metric: str, mode: str, max_epochs: int) -> None:
        super().__init__(
            time_attr="epoch", metric=metric, mode=mode, max_t=max_epochs, grace_period=1, reduction_factor=REDUCTION
        )
        sign = 1.0 if mode == "max" else -1.0
        ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
        for trial in ended:  # one that is running tells its epochs again where it goes on
            said = epochs(trial)
            for milestone, recorded in self._brackets[0]._rungs:
                value = said.get(round(milestone), {}).get("value")
                if value is not None:
                    recorded[f"study/{trial.number}"] = sign * value


def make_scheduler(name: str, study: Study, metric: str, mode: str, max_epochs: int) -> TrialScheduler:
    """The scheduler called `name`, one of `gckd.tune.plan.SCHEDULERS`."""
    if name == "asha":
        return Asha(study, metric, mode, max_epochs)
    return FIFOScheduler()  # type: ignore[no-untyped-call]

"""Searcher of Ray Tune over an Optuna study."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import Trial, TrialState, create_trial
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from gckd.config import Config, ConfigError
from gckd.config.edit import configure
from gckd.runs.lost_input import lost_input
from gckd.tune.study import DUPLICATE_OF, EDITS, FOLDER, OWNER, REASON, REFUSED, SEEDS, THREADS, counts
from gckd.tune.trial_results import LOST_INPUT, TrialResults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from optuna import Study

    from gckd.tune.space.space import Space

NUMBER = "number"  # of the trial, in the config of the trainable
_DRAW_TIME = timedelta(minutes=1)  # far more than a draw takes
DRAWS = 20  # consecutive draws that are not run, after which the search ends


class StudySearcher(OptunaSearch):
    """Gives the trials of a study to Tune and writes their results into the study, which holds all state.

    Ray's own OptunaSearch records stopped trials as COMPLETE, leaves trials with NaN RUNNING for ever, loses the
    trials of a dead driver, and counts epochs from 1 again after a resume. Here:

    * A trial that reports its last epoch (`gckd.tune.trial_results.LAST`) is COMPLETE, with the values of its selected
      epoch: the best by the first objective, the earlier of equals. A trial that ends before was stopped by the
      scheduler: PRUNED, with its intermediate values. A trial that raised, died, reported a value that is not finite,
      or ended before its first epoch: FAIL, with user_attrs["reason"].
    * Steps are the trainable's epochs. An epoch that a resumed trial reports again is ignored.
    * RUNNING trials of the same `owner` that this searcher did not start are those of a dead driver: `suggest` returns
      them first, with their number and parameters. Trials of other owners are never touched.
    * A trial that fails because the data or weights of the search have disappeared stays RUNNING, the search ends, and
      `lost_input` has the problem. The repeated command resumes the trial.
    * The search ends at `budget` trials: COMPLETE, PRUNED, FAIL, and RUNNING of any owner, over all searches on the
      study. A larger budget extends it. While another search may still refuse the last of them, `suggest` returns
      None: Tune asks again.
    * Draws that are never run do not count: edits that the config refuses (FAIL, user_attrs["refused"]), and a
      duplicate of a COMPLETE trial, which gets the same values at once (user_attrs[DUPLICATE_OF]). After 20 such
      draws in a row the space counts as exhausted, and the search ends.
    """

    def __init__(
        self,
        study: Study,
        space: Space,
        base: Config,
        *,
        owner: str,
        budget: int,
        folder: str,
        objectives: Mapping[str, str],
        seeds: Sequence[int] = (0,),
        threads: int | None = None,
        failure_reason: Callable[[str], str] | None = None,
    ) -> None:
        """For `tune.TuneConfig(search_alg=..., num_samples=-1)`.

        Args:
            study: from `gckd.tune.study.open_study`, with a direction for each objective.
            space: checked.
            owner: id of the output folder; no other running process has it.
            budget: number of trials in the study.
            folder: trial n writes to `folder/trials/n`.
            objectives: key of the result -> "max" or "min"; the first one selects the epoch.
            seeds: of each trial.
            threads: of each worker of a trial; None: unknown.
            failure_reason: Tune's trial id -> reason of the failure, in one line.
        """
        names, modes = list(objectives), list(objectives.values())
        several = len(names) > 1
        super().__init__(metric=names if several else names[0], mode=modes if several else modes[0])
        self._study = study
        self._checked_space = space  # `_space` is the parent's
        self._base = base
        self._owner = owner
        self._budget = budget
        self._folder = folder
        self._seeds = list(seeds)
        self._threads = {} if threads is None else {THREADS: threads}
        self._failure_reason = failure_reason
        self._results = TrialResults(study, objectives)
        self._running: dict[str, Trial] = {}  # by Tune's trial id
        self.end_reason = ""  # why `suggest` returned FINISHED
        self.lost_input = ""  # problem of data or weights that disappeared

    def set_search_properties(self, metric: Any, mode: Any, config: dict[str, Any], **spec: Any) -> bool:
        """False: Tune may not change metric, mode or space."""
        return False

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Config of the trainable: `edits` of the search's config, `number`, `folder` and `seeds`; None or FINISHED."""
        if self.lost_input:
            self.end_reason = self.lost_input
            return Searcher.FINISHED  # type: ignore[return-value] # a str, by Tune's protocol
        for _ in range(DRAWS):
            trial = self._left_by_dead_driver() or self._new_trial()
            if trial is None and self._others_may_refuse():
                return None
            if trial is None:
                self.end_reason = f"the study has all {self._budget} trials"
                return Searcher.FINISHED  # type: ignore[return-value] # a str, by Tune's protocol
            config = self._trainable_config(trial)
            if config is not None:
                self._running[trial_id] = trial
                return config
        self.end_reason = f"the last {DRAWS} draws were duplicates or refused: the space is exhausted"
        return Searcher.FINISHED  # type: ignore[return-value]

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Writes an epoch into the study; ignores unknown and finished trials."""
        trial = self._unfinished(trial_id)
        if trial is not None:
            self._results.add(trial_id, trial, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Finishes a trial in the study; ignores unknown and finished trials."""
        trial = self._unfinished(trial_id)
        if trial is None:
            return
        if result:  # Tune passes the result at which the scheduler stopped a trial only here
            self._results.add(trial_id, trial, result)
        failed = error or (result or {}).get(REASON)
        if failed and (problem := (result or {}).get(LOST_INPUT) or lost_input(self._base)):
            self.lost_input = str(problem)
            return
        failure = (self._failure_reason(trial_id) if self._failure_reason else "unknown error") if error else ""
        self._results.finish(trial_id, trial, failure)
        del self._running[trial_id]

    def save(self, checkpoint_path: str) -> None:
        """Writes an empty file: the study has the state, and a pickle file could run code of somebody else."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Refuses: a search resumes from its study."""
        raise NotImplementedError("a search resumes from its study, not from files of Ray Tune; repeat its command")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_failure_reason": None}  # it refers to live objects of Tune

    def _left_by_dead_driver(self) -> Trial | None:
        """A RUNNING trial of this owner that this searcher did not start."""
        started = {trial.number for trial in self._running.values()}
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if frozen.user_attrs.get(OWNER) == self._owner and frozen.number not in started:
                return Trial(self._study, frozen._trial_id)
        return None

    def _new_trial(self) -> Trial | None:
        """A queued trial, otherwise a new one; None if the budget is used up."""
        study = self._study
        trials = study.get_trials(deepcopy=False)
        if sum(map(counts, trials)) >= self._budget:
            return None
        if any(trial.state == TrialState.WAITING for trial in trials):
            trial = study.ask()
            trial.set_user_attr(OWNER, self._owner)
        else:
            # Created with its owner: a driver that died between `ask` and `set_user_attr` would leave a trial that no
            # search resumes.
            template = create_trial(state=TrialState.RUNNING, user_attrs={OWNER: self._owner})
            trial = Trial(study, study._storage.create_new_trial(study._study_id, template))
        up_to_this = [earlier for earlier in study.get_trials(deepcopy=False) if earlier.number <= trial.number]
        if sum(map(counts, up_to_this)) > self._budget:
            self._refuse(trial, f"another search on this study drew the last of {self._budget} trials at the same time")
            return None
        return trial

    def _others_may_refuse(self) -> bool:
        """Whether the budget is used up only with draws of other searches that may not run.

        A draw becomes a trial when it has a folder. One that has none after a minute was left by a dead driver, which
        resumes it.
        """
        trials = [trial for trial in self._study.get_trials(deepcopy=False) if counts(trial)]
        undecided = [
            trial
            for trial in trials
            if trial.state == TrialState.RUNNING
            and trial.user_attrs[OWNER] != self._owner
            and FOLDER not in trial.user_attrs
            and trial.datetime_start is not None
            and datetime.now() - trial.datetime_start < _DRAW_TIME
        ]
        return len(trials) - len(undecided) < self._budget

    def _trainable_config(self, trial: Trial) -> dict[str, Any] | None:
        """Config of the trainable; None if the trial is finished at once, as refused or as a duplicate."""
        try:
            edits = self._checked_space.edits(self._checked_space.suggest(trial))
            trial.set_user_attr(EDITS, edits)
            configure(self._base, edits)
        except ConfigError as error:
            self._refuse(trial, "; ".join(error.problems))
            return None
        except ValueError as error:  # from Optuna: a queued trial has a value that is outside the space
            self._refuse(trial, " ".join(str(error).split()))
            return None
        for earlier in self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            if earlier.user_attrs.get(EDITS) == edits and DUPLICATE_OF not in earlier.user_attrs:
                trial.set_user_attr(DUPLICATE_OF, earlier.number)
                self._study.tell(trial, earlier.values)
                return None
        placement = {FOLDER: f"{self._folder}/trials/{trial.number}", SEEDS: self._seeds}
        for key, value in {**placement, **self._threads}.items():
            trial.set_user_attr(key, value)
        return {EDITS: edits, NUMBER: trial.number, **placement}

    def _refuse(self, trial: Trial, reason: str) -> None:
        trial.set_user_attr(REASON, reason)
        trial.set_user_attr(REFUSED, True)
        self._study.tell(trial, state=TrialState.FAIL)

    def _unfinished(self, trial_id: str) -> Trial | None:
        trial = self._running.get(trial_id)
        finished = trial and self._study.get_trials(deepcopy=False)[trial.number].state.is_finished()
        return None if finished else trial

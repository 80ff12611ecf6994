"""The bridge between Ray Tune and an Optuna study: Ray's OptunaSearch, right where that is wrong (design/ray.md)."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import Trial, TrialState, create_trial
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from gckd.config import Config, ConfigError
from gckd.config.edit import configure
from gckd.tune.results import Outcomes
from gckd.tune.study import EDITS, FOLDER, OWNER, REASON, REFUSED, SEEDS, TWIN, counts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from optuna import Study

    from gckd.tune.space.space import Space

NUMBER = "number"  # of the trial, in what the trainable gets
DRAWS = 20  # in a row that cannot or need not be run, until the search ends


class Bridge(OptunaSearch):
    """Hands the trials of a study to Tune and writes into the study what becomes of them. The study is the only truth.

    * A trial that ends at its last epoch (`gckd.tune.results.LAST`) is COMPLETE with the values of its selected epoch:
      the one with the best first objective, the earlier of two alike. One that ends before was stopped by the
      scheduler: PRUNED, with the values it reported. One that raised, died, reported a value that is not finite, or
      ended before its first epoch: FAIL, with user_attrs["reason"].
    * Steps are epochs as the trainable counts them. One that is reported again, by a trial that was resumed, is
      ignored.
    * RUNNING trials of the same `owner` that this bridge did not hand out are those of a dead driver: `suggest` hands
      them out first, with the same parameters and number. Those of other owners are never touched.
    * The search ends when COMPLETE, PRUNED and FAIL trials and those that any owner is running are `budget` together,
      over all searches on the study; a larger budget extends it.
    * Draws that are never run do not count: what the config refuses (FAIL, user_attrs["refused"]), and a twin of a
      COMPLETE trial, which is told the same values at once (user_attrs["twin"]). After 20 such draws in a row the
      space is taken for exhausted, and the search ends.
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
        why: Callable[[str], str] | None = None,
    ) -> None:
        """For `tune.TuneConfig(search_alg=..., num_samples=-1)`.

        Args:
            study: of `gckd.tune.study.open_study`, with a direction for each objective.
            space: checked.
            owner: id of the output folder, which no other live process has.
            budget: trials wanted in the study.
            folder: trial n works in `folder/trials/n`.
            objectives: key of the result -> "max" or "min"; the first one selects the epoch.
            seeds: of each trial.
            why: Tune's trial id -> why that trial failed, in one line; see `gckd.tune.results.Failures`.
        """
        names, modes = list(objectives), list(objectives.values())
        several = len(names) > 1
        super().__init__(metric=names if several else names[0], mode=modes if several else modes[0])
        self._study = study
        self._searched = space
        self._base = base
        self._owner = owner
        self._budget = budget
        self._folder = folder
        self._seeds = list(seeds)
        self._why = why
        self._outcomes = Outcomes(study, objectives)
        self._handed_out: dict[str, Trial] = {}  # and not told, by Tune's trial id
        self.ended = ""  # why no more trials are handed out, once that is so

    def set_search_properties(self, metric: Any, mode: Any, config: dict[str, Any], **spec: Any) -> bool:
        """Nothing of it is Tune's to set."""
        return False

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """What the trainable gets: `edits` of the search's config, `number`, `folder` and `seeds`; or FINISHED."""
        for _ in range(DRAWS):
            trial = self._left_behind() or self._new()
            if trial is None:
                self.ended = f"{self._budget} trials are done or running"
                return Searcher.FINISHED  # type: ignore[return-value] # a text, as Tune has it
            config = self._prepared(trial)
            if config is not None:
                self._handed_out[trial_id] = trial
                return config
        self.ended = f"the last {DRAWS} draws had been tried before or cannot be run: the space is exhausted"
        return Searcher.FINISHED  # type: ignore[return-value]

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Notes an epoch; nothing where the trial is not ours, or told already."""
        trial = self._untold(trial_id)
        if trial is not None:
            self._outcomes.note(trial_id, trial, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells Optuna how a trial ended; nothing where the trial is not ours, or told already."""
        trial = self._untold(trial_id)
        if trial is None:
            return
        if result:  # the result at which the scheduler stopped a trial comes here alone
            self._outcomes.note(trial_id, trial, result)
        failure = (self._why(trial_id) if self._why else "it failed") if error else ""
        self._outcomes.tell(trial_id, trial, failure)
        del self._handed_out[trial_id]  # what is kept of a trial is in the study

    def save(self, checkpoint_path: str) -> None:
        """Writes what `restore` reads."""
        Path(checkpoint_path).write_bytes(pickle.dumps(self.__getstate__()))

    def restore(self, checkpoint_path: str) -> None:
        """Goes on as the bridge that was saved; what has become of its trials since, the study knows."""
        self.__dict__.update(pickle.loads(Path(checkpoint_path).read_bytes()), _why=self._why)  # noqa: S301

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_why": None}  # it holds what is live of Tune

    def _left_behind(self) -> Trial | None:
        """A trial that a dead driver of this owner was running."""
        ours = {trial.number for trial in self._handed_out.values()}
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if frozen.user_attrs.get(OWNER) == self._owner and frozen.number not in ours:
                return Trial(self._study, frozen._trial_id)
        return None

    def _new(self) -> Trial | None:
        """A queued trial, or else a new one; None where the budget is used up."""
        study = self._study
        trials = study.get_trials(deepcopy=False)
        if sum(map(counts, trials)) >= self._budget:
            return None
        if any(trial.state == TrialState.WAITING for trial in trials):
            trial = study.ask()
            trial.set_user_attr(OWNER, self._owner)
        else:
            # Between `ask` and a note of the owner, a driver that dies would leave a trial that nobody takes up.
            template = create_trial(state=TrialState.RUNNING, user_attrs={OWNER: self._owner})
            trial = Trial(study, study._storage.create_new_trial(study._study_id, template))
        so_far = [other for other in study.get_trials(deepcopy=False) if other.number <= trial.number]
        if sum(map(counts, so_far)) > self._budget:
            self._refuse(trial, f"another search on this study drew the last of {self._budget} trials just before")
            return None
        return trial

    def _prepared(self, trial: Trial) -> dict[str, Any] | None:
        """What the trainable gets; None where the trial is told at once, as it cannot or need not be run."""
        try:
            edits = self._searched.edits(self._searched.suggest(trial))
            trial.set_user_attr(EDITS, edits)
            configure(self._base, edits)
        except ConfigError as error:
            self._refuse(trial, "; ".join(error.problems))
            return None
        except ValueError as error:  # Optuna's, of a queued trial with a value that is none of the space's
            self._refuse(trial, " ".join(str(error).split()))
            return None
        for other in self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            if other.user_attrs.get(EDITS) == edits and TWIN not in other.user_attrs:
                trial.set_user_attr(TWIN, other.number)
                self._study.tell(trial, other.values)
                return None
        given = {FOLDER: f"{self._folder}/trials/{trial.number}", SEEDS: self._seeds}
        for key, value in given.items():
            trial.set_user_attr(key, value)
        return {EDITS: edits, NUMBER: trial.number, **given}

    def _refuse(self, trial: Trial, reason: str) -> None:
        trial.set_user_attr(REASON, reason)
        trial.set_user_attr(REFUSED, True)
        self._study.tell(trial, state=TrialState.FAIL)

    def _untold(self, trial_id: str) -> Trial | None:
        trial = self._handed_out.get(trial_id)
        told = trial and self._study.get_trials(deepcopy=False)[trial.number].state.is_finished()
        return None if told else trial

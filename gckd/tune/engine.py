"""Engine of a search on a connected Ray: source models first, then trials through Tune, then the audit's tasks."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
import uuid
from typing import TYPE_CHECKING, Any

from optuna.exceptions import StorageInternalError

from gckd.cluster import trial as search_trial
from gckd.cluster.shared_board import save_running, shared_board
from gckd.errors import InputError, LostInputError, reason_of
from gckd.printable import echo
from gckd.runs.lost_input import lost_input
from gckd.runs.tracker import Trackers
from gckd.storage.mirror import RAY_TUNE_FOLDER
from gckd.tune.best import candidates, source_value
from gckd.tune.plan import OBJECTIVES, Plan
from gckd.tune.progress import SearchProgress
from gckd.tune.study import counts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from optuna import Study
    from ray.tune import Callback

    from gckd.interruption import Interruption
    from gckd.storage.path import StoragePath
    from gckd.training.search_trial import SourceModelScores
    from gckd.tune.search_display import SearchDisplay
    from gckd.tune.searcher import StudySearcher
    from gckd.tune.space.space import Space

_SECONDS_BETWEEN_UPDATES = 0.5
_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the display and the report replace Tune's own output
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # it would swallow Ctrl-C
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial that gives up reports a reason and no score
}
_ATTEMPTS = 3  # per trial, when its worker or node dies; each attempt resumes from the checkpoint


class Engine:
    """One search, from its source models to its last trial."""

    def __init__(
        self,
        ray: Any,
        interruption: Interruption,
        plan: Plan,
        search: search_trial.Search,
        out: StoragePath,
        folder: Path,
        display: SearchDisplay,
        after_trial: Callable[[], None],
        trackers: Trackers | None = None,
    ) -> None:
        """
        Args:
            search: what all trials share; `source_models` adds its `start`.
            out: output of the search, which every node reaches.
            folder: local folder of the driver; `out` itself if that is on a disk.
            after_trial: called after each trial.
            trackers: get the scores of every trial.
        """
        self._ray, self._interruption, self._display = ray, interruption, display
        self._after_trial, self._trackers = after_trial, trackers or Trackers()
        self._plan, self._out, self._folder = plan, out, folder
        self._board = shared_board(ray)
        self.search = dataclasses.replace(search, board=self._board)

    def source_models(self) -> list[SourceModelScores]:
        """The source model of every seed, from the cache or trained now; in the order of the seeds."""
        seeds = self._plan.seeds
        models: list[SourceModelScores] = self.run_tasks(
            search_trial.source_model, [(self.search, seed) for seed in seeds]
        )
        for seed in seeds:
            self._board.end.remote((search_trial.SOURCE_MODEL, seed))
        start = {seed: model.scores for seed, model in zip(seeds, models, strict=True)}
        self.search = dataclasses.replace(self.search, start=start)
        return models

    def trials(self, study: Study, space: Space, owner: str) -> str:
        """Runs trials until the study has as many as planned; returns the reason why the search ended.

        owner: id of the output folder; see `gckd.tune.searcher.StudySearcher`.

        Raises:
            LostInputError: the data or the weights disappeared; unfinished trials can be resumed.
        """
        from ray import tune

        from gckd.tune.failure_reasons import FailureReasons
        from gckd.tune.scheduler import make_scheduler
        from gckd.tune.searcher import StudySearcher

        os.environ.update(_ENVIRONMENT)
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        plan, failure_reasons, base = self._plan, FailureReasons(), self.search.base
        objectives = {name: OBJECTIVES[name] for name in plan.objectives}
        first, mode = next(iter(objectives.items()))
        searcher = StudySearcher(
            study,
            space,
            base,
            owner=owner,
            budget=plan.trials,
            folder=str(self._out),
            objectives=objectives,
            seeds=plan.seeds,
            threads=plan.resources.threads,
            failure_reason=failure_reasons,
        )
        tune_config = tune.TuneConfig(
            search_alg=searcher,
            scheduler=make_scheduler(plan.scheduler, study, first, mode, base.adapt.evaluations),
            num_samples=-1,
            max_concurrent_trials=plan.concurrent,
            reuse_actors=plan.resources.workers == 1,
        )
        run_config = self._run_config(tune, failure_reasons, study, searcher)
        try:
            tune.Tuner(self._trainable(tune), tune_config=tune_config, run_config=run_config).fit()
        except tune.TuneError as error:  # holds the text of an error of the searcher, and the error in its chain
            raise original_error(error) from error
        if searcher.lost_input:
            raise LostInputError(searcher.lost_input)
        return searcher.end_reason

    def _progress(self, study: Study) -> SearchProgress:
        """Progress before the first trial of this command."""
        trials = study.get_trials(deepcopy=False)
        ended = sum(counts(trial) and trial.state.is_finished() for trial in trials)
        finished = {candidate.trial.number: candidate.trial.values[0] for candidate in candidates(study)}
        epochs = self.search.base.adapt.evaluations
        return SearchProgress(self._plan.trials - ended, epochs, source_value(study), finished)

    def _run_config(self, tune: Any, failure_reasons: Callback, study: Study, searcher: StudySearcher) -> Any:
        from gckd.tune.progress_callback import ProgressCallback

        progress = ProgressCallback(
            self._progress(study),
            self._display,
            self._interruption,
            lambda: searcher.lost_input,
            self._save,
            self._after_trial,
            self._trackers,
        )
        return tune.RunConfig(
            # A new name each time: the state of a search is in the study and in the checkpoints of its trials.
            name=time.strftime("%Y%m%d-%H%M%S-") + uuid.uuid4().hex[:4],
            # Local: every few seconds Tune copies the whole folder, some files per trial, which would flood an object
            # store. Only TensorBoard reads it.
            storage_path=str(self._folder / RAY_TUNE_FOLDER),
            failure_config=tune.FailureConfig(max_failures=_ATTEMPTS - 1),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # trials write their own checkpoints
            callbacks=[failure_reasons, progress],
            verbose=0,
        )

    def _trainable(self, tune: Any) -> Any:
        from gckd.cluster.trainable import SingleWorkerTrial, multi_worker_trial, nested_resources

        plan = self._plan
        if plan.resources.workers == 1:
            single = tune.with_parameters(SingleWorkerTrial, search=self.search)
            return tune.with_resources(single, {"cpu": plan.resources.threads, "gpu": plan.resources.gpus})
        arguments = {"search": self.search, "resources": plan.resources, "storage": str(self._out / "train")}
        nested = tune.with_parameters(multi_worker_trial, **arguments)
        return tune.with_resources(nested, nested_resources(self._ray.cluster_resources()))

    def _save(self, running: Sequence[dict[str, Any]]) -> None:
        """Let running trials, given by their Tune configs, save checkpoints of their current steps; waits for them."""
        lines = {search_trial.trial_line(trial["number"], seed) for trial in running for seed in trial["seeds"]}
        save_running(self._ray, self._board, lines)

    def run_tasks(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Calls `function` with each tuple of arguments as Ray tasks; the results in the same order.

        Raises:
            InputError: a task raised it; LostInputError if the data or the weights have disappeared.
        """
        resources = self._plan.resources
        task = self._ray.remote(num_cpus=resources.threads, num_gpus=resources.gpus, max_retries=1)(function)
        unfinished = refs = [task.remote(*values) for values in arguments]
        while unfinished:
            _, unfinished = self._ray.wait(unfinished, timeout=_SECONDS_BETWEEN_UPDATES)
            self._interruption.check()
            states = self._ray.get(self._board.snapshot.remote())
            self._display.show([state for state in states if state.row == search_trial.SOURCE_MODEL])
        try:
            results: list[Any] = self._ray.get(refs)
        except self._ray.exceptions.RayTaskError as error:
            if problem := lost_input(self.search.base):
                raise LostInputError(problem) from None
            raise error.cause if isinstance(error.cause, InputError) else error from None
        return results

    def try_tasks(self, purpose: str, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """`run_tasks` whose failure prints a warning and gives no results: the report is written without them.

        Raises:
            LostInputError: the data or the weights have disappeared.
        """
        try:
            return self.run_tasks(function, arguments)
        except LostInputError:
            raise
        except (InputError, self._ray.exceptions.RayError) as error:
            echo(f"warning: {purpose}: failed ({reason_of(error)}); repeat the command to try again", err=True)
            return []


def original_error(error: Exception) -> BaseException:
    """The error that Tune has wrapped, if commands know how to print it; otherwise `error`, with its traceback."""
    original: BaseException | None = error
    while isinstance(original, type(error)):
        original = original.__cause__ or original.__context__
    return original if isinstance(original, (InputError, OSError, StorageInternalError)) else error

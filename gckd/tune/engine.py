"""A search on a connected Ray: source models first, trials through Tune, then the audit."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
import uuid
from typing import TYPE_CHECKING, Any

from gckd.cluster import trial as work
from gckd.cluster.shared_board import shared_board
from gckd.errors import InputError
from gckd.storage.mirror import RAY_TUNE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from optuna import Study
    from ray.tune import Callback

    from gckd.runs.progress_display import Display
    from gckd.runs.signals import Interruption
    from gckd.storage.path import StoragePath
    from gckd.training.search_trial import SourceModel
    from gckd.tune.space.space import Space

from gckd.tune.plan import OBJECTIVES, Plan

_SECONDS_BETWEEN_LOOKS = 0.5
# What Tune prints, the display and the report say better; its own SIGINT handler would swallow Ctrl-C; and a trial that
# gives up with its reason reports no score.
_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
}
_ATTEMPTS = 3  # of a trial whose worker or node dies; it goes on from its checkpoint


class Engine:
    """One search, from source models to its last trial."""

    def __init__(
        self,
        ray: Any,
        interruption: Interruption,
        plan: Plan,
        search: work.Search,
        out: StoragePath,
        folder: Path,
        display: Display,
        after_trial: Callable[[], None],
    ) -> None:
        """search: without `start`, which `source_models` finds. folder: the driver's own; `out` itself where that is
        on a disk. after_trial: called when one has ended."""
        self._ray, self._interruption, self._display = ray, interruption, display
        self._after_trial = after_trial
        self._plan, self._out, self._folder = plan, out, folder
        self._board = shared_board(ray)
        self.search = dataclasses.replace(search, board=self._board)

    def source_models(self) -> list[SourceModel]:
        """Trains the source model of every seed unless the cache has it; in the order of the seeds."""
        seeds = self._plan.seeds
        found: list[SourceModel] = self.each(work.source_model, [(self.search, seed) for seed in seeds])
        for seed in seeds:
            self._board.end.remote((work.SOURCE_MODEL, seed))
        start = {seed: model.scores for seed, model in zip(seeds, found, strict=True)}
        self.search = dataclasses.replace(self.search, start=start)
        return found

    def trials(self, study: Study, space: Space, owner: str) -> str:
        """Runs trials until the study has as many as planned; why it ended."""
        from ray import tune

        from gckd.tune.results import Failures
        from gckd.tune.scheduler import make_scheduler
        from gckd.tune.searcher import Bridge

        os.environ.update(_ENVIRONMENT)
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        plan, failures, base = self._plan, Failures(), self.search.base
        objectives = {name: OBJECTIVES[name] for name in plan.objectives}
        first, mode = next(iter(objectives.items()))
        bridge = Bridge(
            study,
            space,
            base,
            owner=owner,
            budget=plan.trials,
            folder=str(self._out),
            objectives=objectives,
            seeds=plan.seeds,
            why=failures,
        )
        tuned = tune.TuneConfig(
            search_alg=bridge,
            scheduler=make_scheduler(plan.scheduler, study, first, mode, base.adapt.evaluations),
            num_samples=-1,
            max_concurrent_trials=plan.concurrent,
            reuse_actors=plan.workers == 1,
        )
        tune.Tuner(
            self._trainable(tune), tune_config=tuned, run_config=self._run_config(tune, failures, study.study_name)
        ).fit()
        return bridge.ended

    def _run_config(self, tune: Any, failures: Callback, name: str) -> Any:
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        from gckd.tune.progress import Watch

        callbacks = [failures, Watch(self._ray, self._board, self._display, self._interruption, self._after_trial)]
        if self._plan.mlflow:
            callbacks.append(MLflowLoggerCallback(tracking_uri=self._plan.mlflow, experiment_name=name))
        return tune.RunConfig(
            # A new name each time: what is to be kept is in the study and in the trials' checkpoints.
            name=time.strftime("%Y%m%d-%H%M%S-") + uuid.uuid4().hex[:4],
            # Workers keep nothing there. Every few seconds Tune copies it whole, some files a trial; and none is read
            # again but by TensorBoard. That is nothing for an object store.
            storage_path=str(self._folder / RAY_TUNE_FOLDER),
            failure_config=tune.FailureConfig(max_failures=_ATTEMPTS - 1),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # trials keep their own
            callbacks=callbacks,
            verbose=0,
        )

    def _trainable(self, tune: Any) -> Any:
        from gckd.cluster.trainable import SingleWorkerTrial, multi_worker_trial, nested_resources

        plan = self._plan
        if plan.workers == 1:
            alone = tune.with_parameters(SingleWorkerTrial, search=self.search)
            return tune.with_resources(alone, {"cpu": plan.threads, "gpu": plan.gpus})
        given = {"search": self.search, "workers": plan.workers, "gpu": plan.gpus > 0}
        several = tune.with_parameters(multi_worker_trial, **given, storage=str(self._out / "train"))
        return tune.with_resources(several, nested_resources(self._ray.cluster_resources()))

    def each(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What a function of `gckd.runs` returns for each tuple of arguments, as Ray tasks.

        Raises:
            InputError: one of them did.
        """
        task = self._ray.remote(num_cpus=self._plan.threads, num_gpus=self._plan.gpus, max_retries=1)(function)
        waiting = refs = [task.remote(*given) for given in arguments]
        while waiting:
            _, waiting = self._ray.wait(waiting, timeout=_SECONDS_BETWEEN_LOOKS)
            self._interruption.check()
            self._display.show(self._ray.get(self._board.snapshot.remote()))
        try:
            found: list[Any] = self._ray.get(refs)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, InputError) else error from None
        return found

"""Search trials on Ray Tune: one worker in a reused actor, or several workers of a nested Ray Train run.

Both call the same function, `gckd.cluster.trial.results_or_reason`. This module imports Ray: import it after
connecting to a cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ray import tune
from ray.train import report as report_to_train
from ray.tune.integration.ray_train import TuneReportCallback

from gckd.cluster.train_group import run_workers
from gckd.cluster.trial import Search, results_or_reason
from gckd.cluster.worker_resources import WorkerResources, driver_resources


class SingleWorkerTrial(tune.Trainable):
    """Trial with one worker. Its actor is reused for later trials, so that only the first trial waits for imports."""

    def setup(self, config: dict[str, Any], search: Search | None = None) -> None:
        assert search is not None
        self._search = search
        self._results: Iterator[dict[str, Any]] = results_or_reason(search, config)

    def step(self) -> dict[str, Any]:
        """Result of the next epoch. The trial is done after the last epoch, or with the reason of a failure."""
        result = next(self._results)
        return {**result, "done": result["done_all"] or "reason" in result}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.cleanup()
        self._results = results_or_reason(self._search, new_config)
        return True

    def cleanup(self) -> None:
        self._results.close()  # type: ignore[attr-defined]  # a generator


def multi_worker_trial(config: Mapping[str, Any], search: Search, resources: WorkerResources, storage: str) -> None:
    """Trial with several workers. A function for Tune."""
    callback: Any = TuneReportCallback()  # type: ignore[no-untyped-call]
    arguments = {"trial": dict(config), "search": search}
    run_workers(_worker, arguments, resources, name=f"trial-{config['number']}", storage=storage, callbacks=[callback])


def _worker(config: dict[str, Any]) -> None:
    for result in results_or_reason(config["search"], config["trial"]):
        report_to_train(result)


def nested_resources(available: Mapping[str, float]) -> tune.PlacementGroupFactory:
    """Resources that Tune reserves for the driver of a nested run; see `driver_resources`."""
    return tune.PlacementGroupFactory([driver_resources(available)])

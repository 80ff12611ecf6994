"""A trial on Ray Tune: in its own reused actor, or as the several workers of a nested Ray Train run.

Both drive the same function, `gckd.cluster.trial.results_or_reason`. Importing this module imports ray: connect to a
cluster first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ray import tune
from ray.train import RunConfig, ScalingConfig
from ray.train import report as report_to_train
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from gckd.cluster.connect import HEAD
from gckd.cluster.trial import Search, results_or_reason


class SingleWorkerTrial(tune.Trainable):
    """One worker a trial. An actor takes trial after trial, so that only the first of them pays for its imports."""

    def setup(self, config: dict[str, Any], search: Search | None = None) -> None:
        assert search is not None
        self._search = search
        self._results: Iterator[dict[str, Any]] = results_or_reason(search, config)

    def step(self) -> dict[str, Any]:
        """The next epoch; a trial ends with its last one, or with the reason why it gives up."""
        found = next(self._results)
        return {**found, "done": found["done_all"] or "reason" in found}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.cleanup()
        self._results = results_or_reason(self._search, new_config)
        return True

    def cleanup(self) -> None:
        self._results.close()  # type: ignore[attr-defined]  # a generator


def multi_worker_trial(config: Mapping[str, Any], search: Search, workers: int, gpu: bool, storage: str) -> None:
    """Several workers a trial, each with its rows of every batch (`gckd.distributed`). A function for Tune."""
    callback: Any = TuneReportCallback()  # type: ignore[no-untyped-call]
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"given": dict(config), "search": search},
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu, resources_per_worker={"CPU": search.threads}),
        # By its name a run is found again after an interruption, so the name is the trial's own.
        run_config=RunConfig(name=f"trial-{config['number']}", storage_path=storage, callbacks=[callback]),
    )
    trainer.fit()


def _worker(config: dict[str, Any]) -> None:
    for found in results_or_reason(config["search"], config["given"]):
        report_to_train(found)


def nested_resources(there: Mapping[str, float]) -> tune.PlacementGroupFactory:
    """What Tune reserves for the driver of a nested run: next to nothing; its workers ask for their own.

    Args:
        there: of the cluster. One of `cluster.yaml` has HEAD, where drivers outlive every worker node.
    """
    return tune.PlacementGroupFactory([{HEAD: 0.001} if HEAD in there else {"CPU": 0.01}])

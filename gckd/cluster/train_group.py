"""Workers of one run on Ray Train, which share every batch (`gckd.distributed`).

This module imports Ray: import it after connecting to a cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from gckd.cluster.torch_backend import NodeTorchConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gckd.cluster.worker_resources import WorkerResources


def run_workers(
    function: Callable[[dict[str, Any]], Any],
    arguments: dict[str, Any],
    resources: WorkerResources,
    *,
    name: str,
    storage: str,
    callbacks: Sequence[Any] = (),
) -> Any:
    """Call `function(arguments)` in every worker and wait; returns the result of the first worker.

    Args:
        name: of the Ray Train run. Train resumes a run of the same name, so it is unique to the config.
        storage: folder or URI that every node reaches, for Ray Train's files.
        callbacks: Ray Train's `UserCallback`s.

    Raises:
        ray.train.WorkerGroupError: a worker raised an error or died. Nothing is tried again here.
    """
    trainer = TorchTrainer(
        function,
        train_loop_config=arguments,
        torch_config=NodeTorchConfig(backend=backend(resources.gpus)),
        scaling_config=ScalingConfig(
            num_workers=resources.workers,
            use_gpu=resources.gpus > 0,
            resources_per_worker={"CPU": resources.threads} | ({"GPU": resources.gpus} if resources.gpus else {}),
        ),
        run_config=RunConfig(name=name, storage_path=storage, callbacks=list(callbacks)),
    )
    fitted: Any = trainer.fit()  # Ray's annotations are those of Train v1, which returns no value
    return fitted.return_value


def backend(gpus: float) -> str:
    """Backend of the process group for `gpus` GPUs per worker.

    NCCL, as `gckd train` under torchrun, but not for fractions: it refuses two workers on the same GPU. Gloo copies
    tensors of a GPU through the CPU.
    """
    return "cpu:gloo,cuda:nccl" if gpus >= 1 else "gloo"

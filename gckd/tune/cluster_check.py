"""Check of the cluster before the first trial: Ray version, resources, folders and files on every node."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from gckd.cluster.nodes import NodeRequirements, node_problems
from gckd.cluster.worker_resources import WorkerResources, cluster_problems
from gckd.config.paths import local_files
from gckd.errors import InputError, reason_of
from gckd.storage.cache import CachePath

if TYPE_CHECKING:
    from pathlib import Path

    from gckd.config import Config
    from gckd.storage.path import StoragePath

RAY = "2.60."  # several workarounds depend on this version
_TIMEOUT_S = 60


def check_cluster(
    ray: Any, config: Config, out: StoragePath, cache: Path | CachePath, resources: WorkerResources
) -> None:
    """Refuses a cluster on which no trial could run.

    Args:
        resources: of a trial.

    Raises:
        InputError: another version of Ray, too few resources for one trial, or a node that cannot reach the output
            folder, the cache, the data or the pretrained weights; one line per problem.
    """
    if not ray.__version__.startswith(RAY):
        raise InputError(f"ray: {ray.__version__} is outside its limit: {RAY}*")
    problems = cluster_problems(ray, resources, "trial")
    datasets = config.data.source, config.data.target
    problems += _node_problems(ray, NodeRequirements(out, CachePath.at(cache), datasets, local_files(config)))
    if problems:
        raise InputError(*problems)


def _node_problems(ray: Any, needs: NodeRequirements) -> list[str]:
    """Problems of each node; a token file shows whether the output folder is the same on all of them."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    token = f".seen-{uuid.uuid4().hex}"
    try:
        with (token_file := needs.out / token).writing() as file:
            file.touch()
    except (InputError, OSError) as error:
        return [f"--out: {needs.out} cannot be written ({reason_of(error)})"]
    try:
        task = ray.remote(num_cpus=0)(node_problems)
        alive = [node for node in ray.nodes() if node["Alive"]]
        strategies = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in alive]
        refs = [task.options(scheduling_strategy=strategy).remote(needs, token) for strategy in strategies]
        problems = []
        for node, ref in zip(alive, refs, strict=True):
            name = node["NodeManagerAddress"]  # not unique: one machine may run several nodes
            try:
                problems += [f"node {name}: {problem}" for problem in ray.get(ref, timeout=_TIMEOUT_S)]
            except ray.exceptions.RayError as error:
                problems.append(f"node {name}: gckd cannot run there ({str(error).strip().splitlines()[-1]})")
        return problems
    finally:
        token_file.remove()

"""Everything about the cluster that can be refused is refused here, in seconds, before the first trial."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from gckd.cluster.connect import reachable_resources
from gckd.cluster.nodes import NodeRequirements, node_problems
from gckd.config.paths import files_of
from gckd.errors import InputError, reason_of
from gckd.storage.cache import CachePath

if TYPE_CHECKING:
    from pathlib import Path

    from gckd.config import Config
    from gckd.storage.path import StoragePath

RAY = "2.60."  # several workarounds are for exactly this line
_SECONDS = 60


def check_cluster(
    ray: Any, config: Config, out: StoragePath, cache: Path | CachePath, workers: int, cpus: float, gpus: float
) -> None:
    """Refuses a cluster on which no trial could run.

    Args:
        cpus, gpus: of one worker.

    Raises:
        InputError: another version of Ray, too few resources for one trial, or a node that does not see the output
            folder, the cache, the data or the pretrained weights; one line a problem.
    """
    if not ray.__version__.startswith(RAY):
        raise InputError(f"ray: {ray.__version__} is outside its limit: {RAY}*")
    there = reachable_resources(ray)
    problems = [
        f"--{option}: a trial needs {need:g} {what}, and the cluster has {there.get(what, 0):g}"
        for option, what, need in (("threads", "CPU", cpus * workers), ("gpus-per-trial", "GPU", gpus * workers))
        if need > there.get(what, 0)
    ]
    if workers > 1:
        problems += _state_api()
    datasets = config.data.source, config.data.target
    problems += _nodes(ray, NodeRequirements(out, CachePath.at(cache), datasets, files_of(config)))
    if problems:
        raise InputError("\n".join(problems))


def _state_api() -> list[str]:
    """Whether what cleans up after a stopped nested run can do so; else its placement group would stay for ever."""
    from ray.util.state import list_nodes
    from ray.util.state.exception import RayStateApiException

    try:
        list_nodes(timeout=_SECONDS)
    except (RayStateApiException, OSError) as error:
        return [f"--workers-per-trial: nested trials need Ray's dashboard, which does not answer ({reason_of(error)})"]
    return []


def _nodes(ray: Any, needs: NodeRequirements) -> list[str]:
    """What each node lacks; the token shows that the folder is the same one there."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    token = f".seen-{uuid.uuid4().hex}"
    try:
        with (seen := needs.out / token).writing() as file:
            file.touch()
    except (InputError, OSError) as error:
        return [f"--out: {needs.out} cannot be written ({reason_of(error)})"]
    try:
        task = ray.remote(num_cpus=0)(node_problems)
        alive = [node for node in ray.nodes() if node["Alive"]]
        pinned = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in alive]
        asked = [task.options(scheduling_strategy=there).remote(needs, token) for there in pinned]
        found = []
        for node, ref in zip(alive, asked, strict=True):
            name = node["NodeManagerAddress"]  # not unique: a machine may run several nodes
            try:
                found += [f"node {name}: {problem}" for problem in ray.get(ref, timeout=_SECONDS)]
            except ray.exceptions.RayError as error:
                found.append(f"node {name}: gckd cannot run there ({str(error).strip().splitlines()[-1]})")
        return found
    finally:
        seen.remove()

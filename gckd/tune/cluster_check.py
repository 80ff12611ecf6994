"""Check of the cluster before the first trial: Ray version, resources, folders and files on every node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gckd.cluster.nodes import NodeRequirements, problems_of_nodes
from gckd.cluster.worker_resources import WorkerResources, cluster_problems
from gckd.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from gckd.config import Config
    from gckd.storage.cache import CachePath
    from gckd.storage.path import StoragePath

RAY = "2.60."  # several workarounds depend on this version


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
    problems += problems_of_nodes(ray, NodeRequirements.of([config], out, cache))
    if problems:
        raise InputError(*problems)

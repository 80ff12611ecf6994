"""Resources of the workers of a run or trial, and the room that a cluster has for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gckd.cluster.connect import HEAD, reachable_resources
from gckd.errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TIMEOUT_S = 60


@dataclass(frozen=True)
class WorkerResources:
    """Workers of each run or trial, and the CPU threads and GPUs of each worker. A fraction shares a GPU."""

    workers: int = 1
    threads: int = 1
    gpus: float = 0.0

    def room(self, available: Mapping[str, float]) -> int:
        """Number of runs that fit on a cluster at a time; at least 1."""
        room = [available.get("CPU", 0) / (self.threads * self.workers)]
        room += [available.get("GPU", 0) / (self.gpus * self.workers)] if self.gpus else []
        return max(1, int(min(room)))

    def problems(self, unit: str, available: Mapping[str, float]) -> list[str]:
        """Resources that a cluster lacks for a single run, one line each.

        Args:
            unit: "run" or "trial".
        """
        needs = (("threads", "CPU", self.threads), ("gpus-per-worker", "GPU", self.gpus))
        return [
            f"--{option}: a {unit} needs {need * self.workers:g} {resource}; the cluster has "
            f"{available.get(resource, 0):g}"
            for option, resource, need in needs
            if need * self.workers > available.get(resource, 0)
        ]

    def text(self) -> str:
        """For example `2 workers with 1 CPU and 0.5 GPU each`."""
        number = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        return f"{number} with {self.threads} CPU and {self.gpus:g} GPU{' each' * (self.workers > 1)}"


def worker_resources(
    available: Mapping[str, float], devices: Iterable[str], *, workers: int, threads: int, gpus: float | None
) -> WorkerResources:
    """Resources of each run, as the user requests them.

    Args:
        available: resources of the cluster.
        devices: `config.device` of the runs.
        gpus: of each worker; None: one if the cluster has any and a run may use it.
    """
    if gpus is None:
        gpus = 1.0 if available.get("GPU", 0) >= 1 and any(device != "cpu" for device in devices) else 0.0
    return WorkerResources(workers, threads, gpus)


def driver_resources(available: Mapping[str, float]) -> dict[str, float]:
    """Ray resources of the driver of a Ray Train run: almost none, as its workers request their own.

    Args:
        available: resources of the cluster. If it has HEAD, drivers run on the head, which outlives the workers.
    """
    return {HEAD: 0.001} if HEAD in available else {"CPU": 0.01}


def cluster_problems(ray: Any, resources: WorkerResources, unit: str) -> list[str]:
    """Reasons why no run or trial could start on a connected cluster, one line each.

    Args:
        unit: "run" or "trial".
    """
    problems = resources.problems(unit, reachable_resources(ray))
    return problems + (_state_api_problems(unit) if resources.workers > 1 else [])


def _state_api_problems(unit: str) -> list[str]:
    """Without Ray's State API, the placement group of a stopped Ray Train run is never removed."""
    from ray.util.state import list_nodes
    from ray.util.state.exception import RayStateApiException

    try:
        list_nodes(timeout=_TIMEOUT_S)
    except (RayStateApiException, OSError) as error:
        return [
            f"--workers-per-{unit}: several workers need Ray's dashboard, which does not answer ({reason_of(error)})"
        ]
    return []

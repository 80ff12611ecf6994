"""Queue of the Ray tasks of a plan: preparations first, then the runs that need them."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from gckd.cluster import tasks
from gckd.cluster.connect import reachable_resources
from gckd.cluster.worker_resources import WorkerResources, driver_resources

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gckd.cluster.tasks import TaskContext
    from gckd.config import Config
    from gckd.runs.plan import Run


class TaskQueue:
    """Tasks in the order of submission.

    Ray starts a task on one worker once its resources are free, so all of them are submitted at once. The driver of
    several workers needs almost no resources; without a limit, all drivers would start and wait for workers.

    Attributes:
        tasks: that are not submitted yet. Each call submits one, and returns its object reference.
        preparations: object reference -> row and seed in the display.
        runs: object reference -> run.
    """

    def __init__(self, ray: Any, context: TaskContext, resources: WorkerResources, limit: int | None) -> None:
        """
        Args:
            limit: most runs of several workers at a time; None: as many as the cluster fits.
        """
        available = reachable_resources(ray)
        self._context, self._resources = context, resources
        self._remote = ray.remote(**task_options(resources, available))
        self._limit = None if resources.workers == 1 else limit or resources.room(available)
        self._prepared: dict[str, Any] = {}
        self.tasks: deque[Callable[[], Any]] = deque()
        self.preparations: dict[Any, tuple[str, int]] = {}
        self.runs: dict[Any, Run] = {}

    def add_preparation(self, digest: str, key: tuple[str, int], config: Config) -> None:
        """Add a preparation.

        Args:
            digest: of the preparation; see `Run.preparation`.
            key: row and seed in the display.
        """
        self.tasks.append(partial(self._prepare, digest, key, config))

    def add_run(self, run: Run) -> None:
        """Add a run, behind its preparation."""
        self.tasks.append(partial(self._run, run))

    def submit(self, running: int) -> list[Any]:
        """Submit as many tasks as the limit allows; returns their object references.

        Args:
            running: submitted tasks that have not ended.
        """
        number = len(self.tasks) if self._limit is None else min(len(self.tasks), max(0, self._limit - running))
        return [self.tasks.popleft()() for _ in range(number)]

    def _prepare(self, digest: str, key: tuple[str, int], config: Config) -> Any:
        ref = self._prepared[digest] = self._submit(tasks.prepare, f"prepare-{digest}", key, config)
        self.preparations[ref] = key
        return ref

    def _run(self, run: Run) -> Any:
        prepared = self._prepared[run.preparation]
        ref = self._submit(tasks.run, f"run-{run.digest}", (run.row, run.seed), run, prepared)
        self.runs[ref] = run
        return ref

    def _submit(self, function: Callable[..., Any], name: str, *arguments: Any) -> Any:
        if self._resources.workers == 1:
            return self._remote(function).remote(self._context, *arguments)
        from gckd.cluster.worker_tasks import on_workers

        return self._remote(on_workers).remote(function, self._resources, name, self._context, *arguments)


def task_options(resources: WorkerResources, available: Mapping[str, float]) -> dict[str, Any]:
    """Options of each Ray task: of a run on one worker, or of the driver of several workers.

    Ray hides all GPUs from tasks that request none. It repeats a task once if its process was killed; the run then
    resumes from its checkpoint.

    Args:
        available: resources of the cluster.
    """
    if resources.workers == 1:
        return {"num_cpus": resources.threads, "num_gpus": resources.gpus, "max_retries": 1}
    custom = driver_resources(available)
    return {"num_cpus": custom.pop("CPU", 0.0), "resources": custom, "max_retries": 1}

"""Order and limit of the submission of tasks, on a fake of Ray."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gckd.cluster.task_queue import TaskQueue
from gckd.cluster.worker_resources import WorkerResources
from gckd.config import preset
from gckd.runs.plan import plan, preparations
from tests.tune.test_cluster_check import cluster_of

Submitted = list[tuple[str, tuple[Any, ...]]]  # name of the function, arguments; the index is the object reference


def queue_of(folder: Path, submitted: Submitted, resources: WorkerResources, limit: int | None) -> TaskQueue:
    """Queue with two preparations and four runs, on a cluster of 8 CPUs."""

    def submit(name: str, *arguments: Any) -> int:
        submitted.append((name, arguments))
        return len(submitted) - 1

    def remote(**options: Any) -> Callable[[Any], Any]:
        return lambda function: SimpleNamespace(remote=lambda *arguments: submit(function.__name__, *arguments))

    ray = cluster_of(CPU=8.0)
    ray.remote = remote
    context: Any = "context"
    queue = TaskQueue(ray, context, resources, limit)
    runs = plan(preset("tiny"), {"-gmp": {"graph.propagate": "none"}}, 2, folder)
    for key, run in preparations(runs).items():
        queue.add_preparation(key, ("pre-training", run.seed), run.config)
    for run in runs:
        queue.add_run(run)
    return queue


def test_all_runs_on_one_worker_are_submitted_at_once_with_their_preparation(tmp_path: Path) -> None:
    submitted: Submitted = []
    queue = queue_of(tmp_path, submitted, WorkerResources(), limit=1)
    assert queue.submit(0) == list(range(6))
    assert [name for name, _ in submitted] == ["prepare"] * 2 + ["run"] * 4
    assert queue.preparations == {0: ("pre-training", 0), 1: ("pre-training", 1)}
    assert [(run.row, run.seed) for run in queue.runs.values()] == [
        (row, seed) for row in ("full", "-gmp") for seed in (0, 1)
    ]
    assert [arguments[-1] for _, arguments in submitted[2:]] == [0, 1, 0, 1]  # the preparation of its seed


@pytest.mark.parametrize(("limit", "most"), [(None, 4), (3, 3)], ids=["room of the cluster", "user's limit"])
def test_runs_of_several_workers_are_submitted_as_others_end(tmp_path: Path, limit: int | None, most: int) -> None:
    submitted: Submitted = []
    queue = queue_of(tmp_path, submitted, WorkerResources(workers=2), limit)
    assert queue.submit(0) == list(range(most))
    assert queue.submit(most) == []
    assert queue.submit(most - 1) == [most]
    assert {name for name, _ in submitted} == {"on_workers"}
    queue.submit(0)
    names = [arguments[2] for _, arguments in submitted]
    assert len(set(names)) == 6  # Ray Train resumes a run of the same name

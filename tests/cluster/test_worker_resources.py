"""Resources of the workers of a run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gckd.cluster.execution import Execution
from gckd.cluster.executor import execute_on
from gckd.cluster.nodes import node_problems
from gckd.cluster.task_queue import task_options
from gckd.cluster.worker_resources import WorkerResources, worker_resources
from gckd.config import apply, preset
from gckd.errors import InputError
from gckd.interruption import Interruption
from gckd.runs.plan import plan
from gckd.runs.progress_display import display
from gckd.runs.provenance import Provenance
from gckd.runs.records import Records
from tests.tune.test_cluster_check import cluster_of


@pytest.mark.parametrize(
    ("resources", "room"),
    [
        (WorkerResources(), 16),
        (WorkerResources(threads=5), 3),
        (WorkerResources(2, 2), 4),
        (WorkerResources(2, 2, 0.5), 2),
        (WorkerResources(gpus=0.25), 8),
        (WorkerResources(64), 1),
    ],
)
def test_the_scarcest_resource_limits_the_runs_at_a_time(resources: WorkerResources, room: int) -> None:
    """Of 16 CPUs and 2 GPUs."""
    assert resources.room({"CPU": 16, "GPU": 2}) == room


def test_an_explicit_share_of_a_gpu_wins_over_the_default() -> None:
    available = {"CPU": 8.0, "GPU": 1.0}
    for gpus, expected in ((None, 1.0), (0.0, 0.0), (0.25, 0.25)):
        resources = worker_resources(available, ["cpu", "auto"], workers=2, threads=1, gpus=gpus)
        assert resources == WorkerResources(2, 1, expected)


def test_a_run_of_several_workers_has_a_driver_that_takes_no_resources_from_them() -> None:
    """With an own head node, it runs there."""
    assert task_options(WorkerResources(1, 2, 0.5), {"CPU": 8}) == {"num_cpus": 2, "num_gpus": 0.5, "max_retries": 1}
    on_head = task_options(WorkerResources(2), {"CPU": 8, "head": 1})
    assert on_head == {"num_cpus": 0.0, "resources": {"head": 0.001}, "max_retries": 1}
    assert task_options(WorkerResources(2), {"CPU": 8})["num_cpus"] <= 0.01


def test_a_cluster_without_room_for_one_run_is_refused_before_any_task(tmp_path: Path) -> None:
    """Its tasks would wait for ever."""
    execution = Execution(Records(tmp_path), Provenance("1a2b", "a", "b", ""), tmp_path, display(), threads=8, gpus=0.5)
    with Interruption() as interruption, pytest.raises(InputError) as refused:
        execute_on(cluster_of(CPU=4.0), interruption, plan(preset("tiny"), {}, 1, tmp_path), execution)
    assert str(refused.value).splitlines() == [
        "--threads: a run needs 8 CPU; the cluster has 4",
        "--gpus-per-worker: a run needs 0.5 GPU; the cluster has 0",
    ]
    assert not (tmp_path / "full").exists()


def test_a_table_is_refused_before_its_first_run_if_a_node_has_another_folder(tmp_path: Path) -> None:
    """On the second node, the token that the driver has written is missing."""

    class Task:
        def options(self, scheduling_strategy: Any) -> SimpleNamespace:
            missing = scheduling_strategy.node_id.strip("a")
            return SimpleNamespace(remote=lambda needs, token: node_problems(needs, token + missing))

    ray = cluster_of(CPU=4.0)
    ray.remote = lambda **options: lambda function: Task()
    ray.nodes = lambda: [{"NodeManagerAddress": name, "NodeID": name * 56, "Alive": True} for name in ("a", "b")]
    ray.get = lambda result, timeout: result
    folder = str(tmp_path)
    config, out = apply(preset("tiny"), {"data.source": folder, "data.target": folder}), tmp_path / "out"
    execution = Execution(Records(out), Provenance("1a2b", "a", "b", ""), tmp_path / "cache", display())
    with Interruption() as interruption, pytest.raises(InputError) as refused:
        execute_on(ray, interruption, plan(config, {}, 1, out), execution)
    remedy = "is another folder than on the driver; use storage that all nodes share"
    assert str(refused.value) == f"node b: --out: {out} {remedy}"
    assert not (out / "full").exists()

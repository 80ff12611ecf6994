"""Check of the cluster before the first trial: one line per problem."""

from __future__ import annotations

import dataclasses
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from gckd.cluster.connect import await_workers, cluster, reachable_resources
from gckd.cluster.nodes import NodeRequirements, node_problems, problems_of_nodes
from gckd.cluster.worker_resources import WorkerResources
from gckd.config import apply, preset
from gckd.errors import InputError
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath
from gckd.tune.cluster_check import check_cluster

TOKEN = ".seen"


def needs(folder: Path, data: str = "", **files: Path) -> NodeRequirements:
    out = folder / "out"
    out.mkdir(exist_ok=True)
    (out / TOKEN).touch()
    datasets = data or str(folder), f"rstpreid:{folder}"
    return NodeRequirements(
        StoragePath.at(out),
        CachePath.at(folder / "cache"),
        datasets,
        tuple((name, str(path)) for name, path in files.items()),
    )


def test_nodes_that_do_not_answer_are_told_from_those_without_gckd(tmp_path: Path) -> None:
    answers: dict[str, Any] = {
        "10.0.0.1": [],
        "10.0.0.2": ray.exceptions.GetTimeoutError("Get timed out: some object(s) not ready."),
        "10.0.0.3": ray.exceptions.RaySystemError("No module named 'gckd'"),
        "10.0.0.4": ["cache: is full"],
    }

    def get(answer: Any, timeout: float) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    places = iter(answers.values())
    task = SimpleNamespace(options=lambda **options: SimpleNamespace(remote=lambda *arguments: next(places)))
    nodes = [{"Alive": True, "NodeID": "0" * 56, "NodeManagerAddress": address} for address in answers]
    fake = SimpleNamespace(
        remote=lambda **options: lambda function: task,
        nodes=lambda: nodes,
        wait=lambda refs, num_returns, timeout: None,
        get=get,
        exceptions=ray.exceptions,
    )
    silent, broken, full = problems_of_nodes(fake, needs(tmp_path))
    assert silent == "node 10.0.0.2: did not answer within 180 s; it may be busy or unreachable"
    assert broken.startswith("node 10.0.0.3: gckd cannot run there") and broken.endswith("the same gckd on every node")
    assert full == "node 10.0.0.4: cache: is full"
    assert [file.name for file in (tmp_path / "out").iterdir()] == [TOKEN]


def test_a_node_with_all_requirements_has_no_problems(tmp_path: Path) -> None:
    assert node_problems(needs(tmp_path), TOKEN) == []


def test_another_folder_of_the_same_name_is_refused(tmp_path: Path) -> None:
    (problem,) = node_problems(needs(tmp_path), ".seen-of-another")
    assert problem.startswith("--out:")
    assert "shared" in problem or "share" in problem


def test_a_cache_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    (problem,) = node_problems(needs(tmp_path), TOKEN)
    assert problem.startswith(f"--cache {tmp_path / 'cache'}: cannot be used (")


def test_a_cache_in_a_missing_bucket_is_refused(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gckd.storage.cache.USER_CACHE", tmp_path / "user")
    requirements = needs(tmp_path)
    assert node_problems(dataclasses.replace(requirements, cache=CachePath.at(f"{bucket}/cache")), TOKEN) == []
    (problem,) = node_problems(
        dataclasses.replace(requirements, cache=CachePath.at("s3://no-such-bucket/cache")), TOKEN
    )
    assert problem.startswith("--cache s3://no-such-bucket/cache: cannot be used")


def test_missing_data_is_refused(tmp_path: Path) -> None:
    (problem,) = node_problems(needs(tmp_path, f"icfg-pedes:{tmp_path / 'missing'}"), TOKEN)
    assert problem == f"data: {tmp_path / 'missing'} does not exist on this node"


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ALBEF.pth").touch()
    assert node_problems(needs(tmp_path, weights=tmp_path / "ALBEF.pth", tokenizer=tmp_path), TOKEN) == []
    (problem,) = node_problems(needs(tmp_path, weights=tmp_path / "missing.pth", tokenizer=tmp_path), TOKEN)
    assert problem == f"weights: {tmp_path / 'missing.pth'} does not exist on this node"


def test_a_dataset_in_a_missing_bucket_is_refused(tmp_path: Path, bucket: str) -> None:
    (problem,) = node_problems(needs(tmp_path, f"{bucket}/a"), TOKEN)
    assert problem == f"data: {bucket}/a: not a dataset store (its meta.json is missing)"


def cluster_of(version: str = "2.60.0", addable: dict[str, float] | None = None, **resources: float) -> SimpleNamespace:
    """Fake of Ray for a cluster without nodes.

    addable: resources that an autoscaler may add; None: no autoscaler.
    """
    remote = lambda **options: lambda function: function  # noqa: E731
    state = SimpleNamespace(get_max_resources_from_cluster_config=lambda: addable)
    return SimpleNamespace(
        __version__=version,
        cluster_resources=lambda: resources,
        nodes=list,
        remote=remote,
        wait=lambda refs, num_returns, timeout: None,
        _private=SimpleNamespace(state=SimpleNamespace(state=state)),
    )


def test_too_few_resources_for_one_trial_are_refused(tmp_path: Path) -> None:
    config = apply(preset("tiny"), {"data.source": "a", "data.target": "b"})
    with pytest.raises(InputError) as refused:
        check_cluster(
            cluster_of(CPU=4.0), config, StoragePath.at(tmp_path), tmp_path, WorkerResources(threads=8, gpus=0.5)
        )
    assert str(refused.value).splitlines() == [
        "--threads: a trial needs 8 CPU; the cluster has 4",
        "--gpus-per-worker: a trial needs 0.5 GPU; the cluster has 0",
    ]


def test_resources_that_an_autoscaler_may_add_count(tmp_path: Path) -> None:
    """A cluster that scales down to no worker has none when the search starts."""
    config = apply(preset("tiny"), {"data.source": str(tmp_path), "data.target": str(tmp_path)})
    ray = cluster_of(addable={"CPU": 64.0, "GPU": 8.0}, CPU=0.0, head=1000.0)
    assert reachable_resources(ray) == {"CPU": 64.0, "GPU": 8.0, "head": 1000.0}
    check_cluster(ray, config, StoragePath.at(tmp_path), tmp_path, WorkerResources(threads=8, gpus=1.0))
    with pytest.raises(InputError, match="a trial needs 16 GPU; the cluster has 8"):
        check_cluster(ray, config, StoragePath.at(tmp_path), tmp_path, WorkerResources(threads=8, gpus=16.0))


def test_an_address_without_a_cluster_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ray.init` would try for more than a minute."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # without listening
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        monkeypatch.setattr("ray.init", None)
        with pytest.raises(InputError, match=f"RAY_ADDRESS: no Ray cluster at '{address}' .*refused"), cluster(1, 1):
            pass


def test_auto_without_a_running_cluster_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ray keeps the address of the last cluster in a file, also after the cluster has ended."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(f"127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
        monkeypatch.setenv("RAY_ADDRESS", "auto")
        monkeypatch.setattr("ray.init", None)
        with pytest.raises(InputError, match="RAY_ADDRESS: no Ray cluster at 'auto' .*refused"), cluster(1, 1):
            pass


def test_a_search_waits_for_the_first_worker_after_ray_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    ray = cluster_of(head=1000.0)
    ray.cluster_resources = lambda: {"head": 1000.0} | ({"CPU": 8.0} if len(seconds) > 2 else {})
    await_workers(ray)
    assert seconds == [1.0] * 3
    assert capsys.readouterr().err == "waiting up to 60 s for the cluster's first worker to join\n"
    await_workers(ray)
    await_workers(cluster_of(addable={"CPU": 64.0}))  # the autoscaler starts it when trials wait
    assert len(seconds) == 3


def test_another_version_of_ray_is_refused(tmp_path: Path) -> None:
    config = preset("tiny")
    with pytest.raises(InputError, match=r"ray: 2.59.1 is outside its limit: 2.60.\*"):
        check_cluster(cluster_of("2.59.1", CPU=4.0), config, StoragePath.at(tmp_path), tmp_path, WorkerResources())
    check_cluster(cluster_of(CPU=4.0), config, StoragePath.at(tmp_path), tmp_path, WorkerResources())


def test_an_object_store_that_a_node_cannot_use_is_refused(tmp_path: Path, bucket: str) -> None:
    requirements = needs(tmp_path)
    with (StoragePath.at(bucket) / TOKEN).writing() as file:
        file.touch()
    assert node_problems(dataclasses.replace(requirements, out=StoragePath.at(bucket)), TOKEN) == []
    unsupported = dataclasses.replace(requirements, out=StoragePath.at("s4://bucket"))
    (problem,) = node_problems(unsupported, TOKEN)
    assert problem.startswith("--out: s4://bucket")


def test_every_node_of_one_machine_is_checked(tmp_path: Path) -> None:
    class Task:
        """Task that returns the id of the node that it is pinned to."""

        def options(self, scheduling_strategy: Any) -> SimpleNamespace:
            return SimpleNamespace(remote=lambda needs, token: scheduling_strategy.node_id)

    ray, nodes = cluster_of(CPU=4.0), ("a" * 56, "b" * 56)
    ray.remote = lambda **options: lambda function: Task()
    ray.nodes = lambda: [{"NodeManagerAddress": "127.0.0.1", "NodeID": name, "Alive": True} for name in nodes]
    ray.get = lambda name, timeout: [f"{name} lacks it"]
    with pytest.raises(InputError) as refused:
        check_cluster(ray, preset("tiny"), StoragePath.at(tmp_path), tmp_path, WorkerResources())
    assert str(refused.value).splitlines() == [f"node 127.0.0.1: {name} lacks it" for name in nodes]

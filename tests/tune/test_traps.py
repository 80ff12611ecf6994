"""Pitfalls of Ray 2.60, on a real Ray; those of its Optuna searcher are in tests/tune/test_searcher.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from benchmarks.nodes import Nodes
from gckd.cluster.trial import BEST
from gckd.config import apply
from gckd.errors import InputError
from gckd.storage.path import StoragePath
from gckd.tune.best import audit_key
from gckd.tune.final_evaluation import audit
from gckd.tune.storage import open_storage
from gckd.tune.study import OWNER, counts
from tests.tune.search_process import EPOCHS, TIMEOUT_S, SearchFolder, output_of
from tests.tune.studies import add, make_study

pytestmark = pytest.mark.timeout(900)


@pytest.mark.slow
def test_two_searches_share_a_study(search_folder: SearchFolder) -> None:
    """Together they run the number of trials, each in its own folder, and the trials of both are audited."""
    search_folder.configure(apply(search_folder.config, {"adapt.steps": 100}))  # long enough for both to run trials
    uri = f"sqlite:///{search_folder.folder}/s.db"
    shared = ("--storage", uri, "--study", "s", "--trials", "4", "--concurrent", "1", "--scheduler", "none")
    for text in map(output_of, [search_folder.start(*shared, out=out) for out in ("one", "two")]):
        assert "selected without target labels" in text
    study = optuna.load_study(storage=open_storage(uri, search_folder.folder), study_name="s")
    ran = [trial for trial in study.trials if counts(trial)]
    assert [trial.state for trial in ran] == [TrialState.COMPLETE] * 4
    owners = {(search_folder.folder / out / "owner").read_text(): out for out in ("one", "two")}
    for trial in ran:
        assert list(trial.intermediate_values) == list(range(1, EPOCHS + 1))
        assert Path(trial.user_attrs["folder"]).parents[1] == search_folder.folder / owners[trial.user_attrs[OWNER]]
        assert audit_key(trial.number) in study.user_attrs
    for out in ("one", "two"):
        assert {"report.html", "best.yaml", "trials.parquet"} <= {
            path.name for path in (search_folder.folder / out).iterdir()
        }


def test_the_audit_leaves_out_unreachable_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One folder is on another machine, the checkpoints of another were deleted, a third belongs to another user."""
    study = make_study()
    for name in ("elsewhere", "deleted", "here"):
        add(study, "COMPLETE", [0.5], folder=str(tmp_path / name))
    add(study, "COMPLETE", [0.5], folder=str(tmp_path / "private"))
    exists = StoragePath.exists

    def refuse(path: StoragePath) -> bool:
        if "private" in str(path):
            raise InputError("Permission denied")
        return exists(path)

    monkeypatch.setattr(StoragePath, "exists", refuse)
    (tmp_path / "deleted").mkdir()
    seed_folder = tmp_path / "here" / "seed-0"
    seed_folder.mkdir(parents=True)
    (seed_folder / BEST).touch()
    audited: list[str] = []

    def run_tasks(function: Any, arguments: list[tuple[Any, ...]]) -> list[dict[str, float]]:
        audited.extend(trial["folder"] for _, trial, _ in arguments)
        return [{"rank_1": 50.0, "map": 40.0} for _ in arguments]

    engine: Any = SimpleNamespace(search=None, try_tasks=lambda purpose, *rest: run_tasks(*rest))
    audit(study, engine)
    assert audited == [str(tmp_path / "here")]
    assert [audit_key(number) in study.user_attrs for number in range(4)] == [False, False, True, False]
    assert "the checkpoints of 3 of 4 trials cannot be read here" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.cluster
def test_a_stopped_nested_trial_frees_its_resources(search_folder: SearchFolder, nodes: Nodes) -> None:
    """Ray's clean-up searches for its cluster by address, and two clusters run on this machine.

    Better trials in the rungs stop each trial after its first epoch. If its workers kept their resources, the next
    trial would wait for ever.
    """
    search_folder.run("--trials", "1", "--no-audit")
    study = optuna.load_study(storage=open_storage(None, search_folder.out), study_name="out")
    for _ in range(3):
        attrs = {"epoch/1": {"value": 1e6, "seconds": 1.0}}
        study.add_trial(create_trial(state=TrialState.PRUNED, user_attrs=attrs, intermediate_values={1: 1e6}))
    search_folder.run("--trials", "6", "--concurrent", "1", "--workers-per-trial", "2", "--no-audit")
    assert [trial.state for trial in search_folder.trials()[4:]] == [TrialState.PRUNED] * 2
    assert [list(trial.intermediate_values) for trial in search_folder.trials()[4:]] == [[1], [1]]


RESERVE = """
import ray, sys
from ray.util.placement_group import placement_group
ray.init(log_to_driver=False)
ray.get(placement_group([{"CPU": 1}, {"CPU": 1}]).ready(), timeout=%s)
print("reserved", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.cluster
def test_ray_frees_the_placement_groups_of_a_killed_driver(nodes: Nodes) -> None:
    """Each driver reserves the whole cluster. So a search need not remove placement groups of dead searches."""

    def driver() -> subprocess.Popen[str]:
        started = subprocess.Popen(
            [sys.executable, "-c", RESERVE % TIMEOUT_S],
            env=os.environ | nodes.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert started.stdout is not None
        assert started.stdout.readline() == "reserved\n"
        return started

    for _ in range(2):
        first = driver()
        first.kill()
        first.communicate()


def test_the_inner_run_of_a_nested_trial_does_not_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries of Tune and of Train would multiply."""
    from ray.train import UserCallback

    from gckd.cluster import train_group, trainable
    from gckd.cluster.worker_resources import WorkerResources

    options: dict[str, Any] = {}

    class Trainer:
        def __init__(self, worker: Any, **keywords: Any) -> None:
            options.update(keywords)

        def fit(self) -> SimpleNamespace:
            return SimpleNamespace(return_value=None)

    monkeypatch.setattr(train_group, "TorchTrainer", Trainer)
    monkeypatch.setattr(trainable, "TuneReportCallback", UserCallback)
    search: Any = type("Search", (), {"threads": 1})
    trainable.multi_worker_trial({"number": 7}, search, WorkerResources(workers=2), storage="/out")
    assert options["run_config"].failure_config.max_failures == 0


@pytest.mark.parametrize(("gpus", "backend"), [(0.0, "gloo"), (0.25, "gloo"), (1.0, "cpu:gloo,cuda:nccl")])
def test_workers_get_their_share_of_a_gpu_and_a_backend_that_accepts_it(
    gpus: float, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a number, Ray Train gives each worker a whole GPU. NCCL refuses two workers on one GPU."""
    from gckd.cluster import train_group
    from gckd.cluster.worker_resources import WorkerResources

    options: dict[str, Any] = {}

    def trainer(function: Any, **keywords: Any) -> SimpleNamespace:
        options.update(keywords)
        return SimpleNamespace(fit=lambda: SimpleNamespace(return_value=None))

    monkeypatch.setattr(train_group, "TorchTrainer", trainer)
    train_group.run_workers(print, {}, WorkerResources(2, 3, gpus), name="run", storage="/out")
    scaling = options["scaling_config"]
    assert (scaling.num_workers, scaling.num_cpus_per_worker, scaling.num_gpus_per_worker) == (2, 3, gpus)
    assert options["torch_config"].backend == backend

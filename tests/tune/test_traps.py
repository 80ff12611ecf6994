"""Traps of Ray 2.60 that a search must not step into, tried for real; tests/tune/test_searcher.py has Optuna's."""

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
from gckd.tune.best import audit_key
from gckd.tune.final_evaluation import audit
from gckd.tune.storage import open_storage
from gckd.tune.study import OWNER, counts
from tests.tune.search_process import EPOCHS, PATIENCE, SearchFolder, ended
from tests.tune.studies import add
from tests.tune.studies import study as bare_study

pytestmark = pytest.mark.timeout(900)


@pytest.mark.slow
def test_two_commands_at_once_on_one_study(place: SearchFolder) -> None:
    """Together they do what was asked for, each in its own folder, and each audits what the other did as well."""
    place.configure(apply(place.config, {"adapt.steps": 100}))  # long enough for both to have a share
    uri = f"sqlite:///{place.folder}/s.db"
    shared = ("--storage", uri, "--study", "s", "--trials", "4", "--concurrent", "1", "--scheduler", "none")
    for text in map(ended, [place.start(*shared, out=out) for out in ("one", "two")]):
        assert "selected without target labels" in text
    study = optuna.load_study(storage=open_storage(uri, place.folder), study_name="s")
    ran = [trial for trial in study.trials if counts(trial)]
    assert [trial.state for trial in ran] == [TrialState.COMPLETE] * 4
    owners = {(place.folder / out / "owner").read_text(): out for out in ("one", "two")}
    for trial in ran:
        assert list(trial.intermediate_values) == list(range(1, EPOCHS + 1))
        assert Path(trial.user_attrs["folder"]).parents[1] == place.folder / owners[trial.user_attrs[OWNER]]
        assert audit_key(trial.number) in study.user_attrs
    for out in ("one", "two"):
        assert {"report.html", "best.yaml", "trials.parquet"} <= {path.name for path in (place.folder / out).iterdir()}


def test_the_audit_leaves_out_what_it_cannot_reach(tmp_path: Path) -> None:
    """A folder that only another machine has, and one whose checkpoints were deleted."""
    study = bare_study()
    for name in ("elsewhere", "deleted", "here"):
        add(study, "COMPLETE", [0.5], folder=str(tmp_path / name))
    (tmp_path / "deleted").mkdir()
    kept = tmp_path / "here" / "seed-0"
    kept.mkdir(parents=True)
    (kept / BEST).touch()
    asked: list[str] = []

    def run_tasks(function: Any, arguments: list[tuple[Any, ...]]) -> list[dict[str, float]]:
        asked.extend(given["folder"] for _, given, _ in arguments)
        return [{"rank_1": 50.0, "map": 40.0} for _ in arguments]

    engine: Any = SimpleNamespace(search=None, run_tasks=run_tasks)
    audit(study, engine)
    assert asked == [str(tmp_path / "here")]
    assert [audit_key(number) in study.user_attrs for number in range(3)] == [False, False, True]


@pytest.mark.slow
@pytest.mark.cluster
def test_a_stopped_nested_trial_leaves_its_workers_places_to_the_next(place: SearchFolder, nodes: Nodes) -> None:
    """Ray's own clean-up looks for the Ray it runs on, and there are two on this machine.

    Rungs that are full of better trials stop each one after its first epoch. If the places of its workers stayed taken,
    the next would wait for ever.
    """
    place.run("--trials", "1", "--no-audit")
    study = optuna.load_study(storage=open_storage(None, place.out), study_name="out")
    for _ in range(3):
        told = {"epoch/1": {"value": 1e6, "seconds": 1.0}}
        study.add_trial(create_trial(state=TrialState.PRUNED, user_attrs=told, intermediate_values={1: 1e6}))
    place.run("--trials", "6", "--concurrent", "1", "--workers-per-trial", "2", "--no-audit")
    assert [trial.state for trial in place.trials()[4:]] == [TrialState.PRUNED] * 2
    assert [list(trial.intermediate_values) for trial in place.trials()[4:]] == [[1], [1]]


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
def test_ray_frees_what_a_driver_that_was_killed_had_reserved(nodes: Nodes) -> None:
    """All of the cluster, twice. So a search need not sweep placement groups of searches that died there."""

    def driver() -> subprocess.Popen[str]:
        started = subprocess.Popen(
            [sys.executable, "-c", RESERVE % PATIENCE],
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


def test_the_inner_run_of_a_nested_trial_leaves_trying_again_to_tune(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tune's attempts and Train's would multiply."""
    from ray.train import UserCallback

    from gckd.cluster import trainable

    made: dict[str, Any] = {}

    class Trainer:
        def __init__(self, worker: Any, **given: Any) -> None:
            made.update(given)

        def fit(self) -> None:
            pass

    monkeypatch.setattr(trainable, "TorchTrainer", Trainer)
    monkeypatch.setattr(trainable, "TuneReportCallback", UserCallback)
    search: Any = type("Search", (), {"threads": 1})
    trainable.multi_worker_trial({"number": 7}, search, workers=2, gpu=False, storage="/out")
    assert made["run_config"].failure_config.max_failures == 0

"""Trackers: what each service gets, options that are refused, and errors of a service."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event

from gckd.cluster.executor import track_run
from gckd.config import apply
from gckd.errors import InputError
from gckd.runs import tracker
from gckd.runs.plan import plan
from gckd.runs.tracker import Trackers, check_trackers, open_trackers
from gckd.training.run import train_run
from tests.toy import make_toy
from tests.training.micro import micro

CURVES = [
    {"stage": "pretrain", "step": 5, "name": "loss", "value": 1.5},
    {"stage": "adapt", "step": 1, "name": "loss", "value": 2.5},
    {"stage": "adapt", "step": 1, "name": "entropy", "value": 0.5},
]


def scalars(folder: Path) -> dict[tuple[str, int], float]:
    """(tag, step) -> value in the event files of a folder, read as TFRecords without checksums."""
    values = {}
    for file in folder.glob("events.*"):
        content, place = file.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack_from("<Q", content, place)
            event = Event.FromString(content[place + 12 : place + 12 + length])
            values |= {(v.tag, event.step): v.simple_value for v in event.summary.value if v.HasField("simple_value")}
            place += 12 + length + 4
    return values


def test_tensorboard_has_the_curves_and_metrics_of_each_run(tmp_path: Path) -> None:
    trackers = open_trackers(["tensorboard"], tmp_path, "table")
    trackers.start("trial 1 k=4", {"graph.propagate.k": "4"})
    trackers.add_finished("-gmp seed 0", {"seed": "0"}, CURVES, {"test/rank_1": 40.0})
    trackers.log("trial 1 k=4", "search", 2, {"score": 0.25})
    trackers.end("trial 1 k=4", {})
    assert scalars(tmp_path / "tensorboard" / "-gmp seed 0") == {
        ("pretrain/loss", 5): 1.5,
        ("adapt/loss", 1): 2.5,
        ("adapt/entropy", 1): 0.5,
        ("test/rank_1", 0): 40.0,
    }
    assert scalars(tmp_path / "tensorboard" / "trial 1 k=4") == {("search/score", 2): 0.25}


class Recorder:
    """Object that records every call of its methods, and of those of what they return."""

    def __init__(self, calls: list[tuple[Any, ...]], name: str = "") -> None:
        self._calls, self._name = calls, name

    def __getattr__(self, name: str) -> Any:
        return "7" if name.endswith("_id") else Recorder(self._calls, f"{self._name}.{name}".strip("."))

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self._calls.append((self._name, arguments, named))
        return None if "get_experiment" in self._name else "3" if "create_experiment" in self._name else self


def recorded(monkeypatch: pytest.MonkeyPatch, kind: str, folder: Path) -> list[tuple[Any, ...]]:
    """Calls that a finished run makes of the package of a tracker."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(tracker.importlib, "import_module", lambda name: Recorder(calls))
    open_trackers([kind], folder, "table").add_finished("-gmp seed 0", {"seed": "0"}, CURVES, {"test/rank_1": 40.0})
    return calls


def test_mlflow_gets_a_run_with_parameters_and_metrics(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Recorded; tried with mlflow 3.17 by hand."""
    first, _, experiment, run, parameter, *metrics, end = recorded(monkeypatch, "mlflow", tmp_path)
    assert first == ("MlflowClient", (), {"tracking_uri": f"sqlite:///{tmp_path / 'mlflow.db'}"})
    assert experiment[1] == ("table",) and run[1:] == (("3",), {"run_name": "-gmp seed 0"})
    assert parameter[1] == ("7", "seed", "0")
    assert [(*arguments[1:], named["step"]) for _, arguments, named in metrics] == [
        ("pretrain/loss", 1.5, 5),
        ("adapt/loss", 2.5, 1),
        ("adapt/entropy", 0.5, 1),
        ("test/rank_1", 40.0, 0),
    ]
    assert end[0].endswith("set_terminated") and end[1] == ("7",)


@pytest.mark.parametrize(
    ("where", "uri"),
    [
        ("mlflow:logs", "sqlite:///{folder}/logs/mlflow.db"),
        ("mlflow:sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("mlflow:http://localhost:5000", "http://localhost:5000"),
        ("mlflow:databricks", "databricks"),
    ],
)
def test_mlflow_takes_a_folder_or_a_uri(where: str, uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    first, *_ = recorded(monkeypatch, where, tmp_path / "out")
    assert first[2] == {"tracking_uri": uri.format(folder=tmp_path)}


def test_wandb_gets_the_step_of_each_stage_as_a_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Recorded; tried with wandb in offline mode by hand."""
    init, *calls = recorded(monkeypatch, "wandb:people", tmp_path)
    assert init[0] == "init" and init[2]["project"] == "people" and init[2]["name"] == "-gmp seed 0"
    assert init[2]["config"] == {"seed": "0"} and init[2]["group"] == "table"
    assert init[2]["settings"] == {"quiet": True}
    assert [arguments[0] for name, arguments, _ in calls if name.endswith("log")] == [
        {"pretrain/step": 5, "pretrain/loss": 1.5},
        {"adapt/step": 1, "adapt/loss": 2.5, "adapt/entropy": 0.5},
    ]
    assert [name.rpartition(".")[2] for name, _, _ in calls][-2:] == ["update", "finish"]


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (["tensorbord"], "--track: unknown tracker 'tensorbord'; did you mean tensorboard?"),
        (["mlflow", "mlflow:http://a"], "--track: mlflow is given twice"),
        (["wandb"], "--track: wandb is not installed; pip install wandb"),
        (["tensorboard:s3://bucket/logs"], "--track: tensorboard writes to a folder on this machine"),
        (["mlflow:file:./runs"], "--track: mlflow:file:./runs: MLflow no longer writes to file: URIs"),
    ],
)
def test_trackers_that_cannot_be_used_are_refused(
    specs: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else object())
    with pytest.raises(InputError) as error:
        check_trackers(specs)
    assert message.partition(";")[0] in str(error.value)


def test_an_error_of_a_tracker_ends_its_logging_and_not_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*arguments: object) -> None:
        raise ConnectionError("no server")

    trackers = Trackers({"mlflow": SimpleNamespace(start=fail, log=fail, end=fail)})
    trackers.add_finished("full seed 0", {}, CURVES, {"rank_1": 1.0})
    assert capsys.readouterr().err.splitlines() == ["warning: --track mlflow: no server; nothing more is logged there"]


def test_runs_with_long_names_keep_apart(tmp_path: Path) -> None:
    trackers, row = open_trackers(["tensorboard"], tmp_path, "table"), "a=1," * 40
    for seed in (0, 1):
        trackers.add_finished(f"{row} seed {seed}", {}, CURVES, {})
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2


def test_a_tracker_that_cannot_be_opened_ends_only_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(name: str) -> None:
        raise ConnectionError("no server")

    monkeypatch.setattr(tracker.importlib, "import_module", fail)
    with pytest.raises(InputError, match="--track: mlflow cannot be opened .no server."):
        open_trackers(["mlflow"], tmp_path, "table")
    open_trackers(["mlflow"], tmp_path, "table", required=False).start("full seed 0", {})
    warning = "warning: --track: mlflow cannot be opened (no server); nothing is logged there"
    assert capsys.readouterr().err.splitlines() == [warning]


def test_a_long_reason_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*arguments: object) -> None:
        raise ConnectionError("x" * 1000)

    Trackers({"mlflow": SimpleNamespace(start=fail)}).start("full seed 0", {})  # type: ignore[dict-item]
    assert len(capsys.readouterr().err) < 300


def test_a_run_of_a_table_is_logged_with_its_edits(tmp_path: Path) -> None:
    calls: list[tuple[Any, ...]] = []
    note: Any = SimpleNamespace(
        start=lambda *a: calls.append(a), log=lambda *a: calls.append(a), end=lambda *a: calls.append(a)
    )
    config = micro(make_toy(tmp_path / "source"), make_toy(tmp_path / "target", shade=120))
    run = plan(config, {"k=2": {"graph.propagate.k": 2}}, 1, tmp_path / "out")[-1]
    result = train_run(apply(run.config, {"adapt.steps": 0}), cache=tmp_path / "cache", out=tmp_path / "run")
    track_run(Trackers({"mlflow": note}), run.name, run, result)
    assert calls[0] == ("k=2 seed 3", {"seed": "3", "graph.propagate.k": "2"})
    assert calls[-1] == ("k=2 seed 3", {f"test/{name}": value for name, value in result.metrics.items()})
    assert {stage for _, stage, _, _ in calls[1:-1]} == {"pretrain", "adapt"}

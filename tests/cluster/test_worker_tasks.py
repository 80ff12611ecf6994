"""Runs on several workers: failures, interruption, and equality with `gckd train` under torchrun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from ray.train import WorkerGroupError

from gckd.cluster import worker_tasks
from gckd.cluster.shared_board import BoardReport
from gckd.cluster.tasks import Failure, Success
from gckd.cluster.worker_resources import WorkerResources
from gckd.config import apply, to_yaml
from gckd.interruption import Interruption
from gckd.progress import Progress
from gckd.runs.progress_board import Board
from gckd.storage.checkpoint import load_checkpoint
from tests.ablations.test_run import interrupt
from tests.toy import make_toy
from tests.training.micro import differences, micro

ROOT = Path(__file__).resolve().parents[2]
STEPS = 200


def failed(line: str, seconds: float) -> worker_tasks._FailedWorkerError:
    return worker_tasks._FailedWorkerError(Failure(line, "trace", seconds))


def outcome(monkeypatch: pytest.MonkeyPatch, *attempts: dict[int, Exception] | str) -> tuple[Any, int]:
    """Result of a run and number of its attempts. Each attempt fails with errors by worker, or returns a text."""
    left = list(attempts)

    def run_workers(*_: Any, **__: Any) -> str:
        attempt = left.pop(0)
        if isinstance(attempt, dict):
            raise WorkerGroupError("failed", attempt)
        return attempt

    monkeypatch.setattr(worker_tasks, "run_workers", run_workers)
    context: Any = SimpleNamespace(out=Path("out"))
    result = worker_tasks.on_workers(print, WorkerResources(2), "run", context)  # type: ignore[arg-type]
    return result, len(attempts) - len(left)


def test_a_failed_run_is_not_repeated_and_has_the_error_of_the_first_worker_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors: dict[int, Exception] = {0: failed("connection closed", 2.0), 1: failed("ValueError: not finite", 1.0)}
    assert outcome(monkeypatch, errors, "never") == (Failure("ValueError: not finite", "trace", 1.0), 1)


def test_a_run_whose_worker_died_is_repeated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    death: dict[int, Exception] = {0: failed("connection closed", 2.0), 1: RuntimeError("the worker died\nof old age")}
    assert outcome(monkeypatch, death, "result") == ("result", 2)
    failure, attempts = outcome(monkeypatch, death, death, "never")
    assert (failure.line, attempts) == ("RuntimeError: the worker died", 2)


def test_a_run_without_its_source_model_starts_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_tasks, "run_workers", None)
    failure, context = Failure("no source model", "", 0.0), Any
    result = worker_tasks.on_workers(print, WorkerResources(2), "run", context, "key", failure)  # type: ignore[arg-type]
    assert result is failure


def test_a_worker_stops_after_its_step_when_the_board_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And tells the board, so that Ctrl-C waits no longer than the step takes."""
    monkeypatch.setattr("gckd.interruption._requested", threading.Event())
    monkeypatch.setattr("ray.wait", lambda refs, timeout: (refs, []))
    monkeypatch.setattr("ray.get", lambda answer: answer)
    local, key = Board([("full", 3)]), ("full", 3)
    board = SimpleNamespace(report=SimpleNamespace(remote=local.report), end=SimpleNamespace(remote=local.end))
    steps: list[int] = []

    def train(context: Any, key: tuple[str, int]) -> Success[Any]:
        report = BoardReport(board, key)
        for step in range(1, 10):
            with Interruption() as interruption:
                report(Progress("adapt", step, 9, {}, None))
                steps.append(step)
                if step == 2:
                    local.stop()
                interruption.check()
        return Success(None)

    with pytest.raises(worker_tasks._FailedWorkerError, match="interrupted"):
        worker_tasks._worker({"function": train, "context": SimpleNamespace(board=board), "arguments": (key,)})
    assert steps == [1, 2, 3, 4]  # the answer to the report of step 3 is read at step 4
    assert [(state.stage, state.message) for state in local.snapshot()] == [("failed", "interrupted")]


def command(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start a command with one thread per worker."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *words, "--config", "config.yaml"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=1200)
    assert process.returncode == 0, out + err
    return out


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif("GCKD_LONG_TESTS" not in os.environ, reason="takes over ten minutes; set GCKD_LONG_TESTS=1")
def test_an_interrupted_table_on_two_workers_equals_gckd_train_under_torchrun(tmp_path: Path) -> None:
    """On the CPU, source model and row are identical. The row was interrupted between evaluations and resumed."""
    config = apply(micro(make_toy(tmp_path / "source"), make_toy(tmp_path / "target", shade=120)), {"device": "cpu"})
    config = apply(config, {"adapt.steps": STEPS, "adapt.evaluations": 1})
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "gckd", "train"]
    finish(command(tmp_path, *torchrun, "--cache", "of-train", "--out", "train"))

    table = [str(ROOT / "ablations" / "run.py"), "--workers-per-run", "2", "--workers", "1", "--threads", "1"]
    table += ["--seeds", "1", "--cache", "of-table", "--out", "table"]
    process = command(tmp_path, *table)
    assert process.stderr is not None
    assert any("full seed 3: adapt" in line for line in process.stderr)
    interrupt(process, signal.SIGINT)
    stopped = load_checkpoint(tmp_path / "table" / "full" / "seed-3" / "checkpoint.pt")
    assert 0 < stopped["step"] < STEPS
    finish(command(tmp_path, *table, "--resume"))

    trained, row = (load_checkpoint(tmp_path / out / "full" / "seed-3" / "checkpoint.pt") for out in ("train", "table"))
    assert set(differences(trained, row)) <= {"/seconds"}
    of_train, of_table = (pd.read_parquet(tmp_path / out / "runs.parquet") for out in ("train", "table"))
    assert list(of_table["row"]) == ["full", "source-model"]
    metrics = ["rank_1", "rank_5", "rank_10", "map", "minp", "queries", "gallery"]
    assert of_table[metrics].iloc[0].to_dict() == of_train[metrics].iloc[0].to_dict()
    models = (next((tmp_path / cache / "pretrain").glob("*/checkpoint.pt")) for cache in ("of-train", "of-table"))
    assert set(differences(*map(load_checkpoint, models))) <= {"/seconds"}

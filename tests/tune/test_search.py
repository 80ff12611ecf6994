"""`python tune/search.py` as a process, on a real, embedded Ray: what it leaves, resumes, extends and refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pandas as pd
import psutil
import pytest
from optuna.trial import FrozenTrial, TrialState

from gckd.cli.guard import run_command
from gckd.config import Config, apply, to_yaml
from gckd.report.write import read_config
from tests.toy import make_toy
from tests.train.micro import micro
from tune.search import search
from tune.storage import open_storage

pytestmark = pytest.mark.timeout(900)  # a Ray takes a minute to start on a busy machine, and a test starts two

ROOT = Path(__file__).resolve().parents[2]
SPACE = "graph.propagate.k: {int: [1, 4]}\ndistill.teacher.m: {one_minus: [0.01, 0.5], log: true}\n"
EPOCHS = 3
PATIENCE = 280.0  # seconds; some twenty on an idle machine


class Bench:
    """A folder with two toy datasets, a config and a space, where the command is run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        self.started: list[subprocess.Popen[str]] = []
        self.configure(micro(make_toy(folder / "source"), make_toy(folder / "target", shade=120)))
        (folder / "space.yaml").write_text(SPACE)

    def configure(self, config: Config) -> None:
        self.config = config
        (self.folder / "config.yaml").write_text(to_yaml(config))

    def start(self, *arguments: str, out: str = "out") -> subprocess.Popen[str]:
        fixed = ["--config", "config.yaml", "--space", "space.yaml", "--cache", "cache", "--out", out]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(ROOT / "tune" / "search.py"), *fixed, "--epochs", str(EPOCHS), *arguments]
        process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str, status: int = 0, out: str = "out") -> str:
        process = self.start(*arguments, out=out)
        text = process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == status, text
        return text

    def trials(self, out: str = "out", study: str | None = None) -> list[FrozenTrial]:
        storage = open_storage(None, self.folder / out)
        return optuna.load_study(storage=storage, study_name=study or out).get_trials(deepcopy=False)

    def told(self, wanted: int) -> None:
        """Waits until so many epochs have been told."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            time.sleep(0.2)
            if (self.out / "owner").exists():  # the study is whole before
                epochs = sum(len(trial.intermediate_values) for trial in self.trials())
                if epochs >= wanted:
                    return
        pytest.fail("no epoch was told")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def processes_of(folder: Path) -> list[str]:
    """Command lines of what still works for a search in `folder`."""
    running = [p.info for p in psutil.process_iter(["cwd", "cmdline"]) if p.info["cwd"]]
    return [" ".join(p["cmdline"] or []) for p in running if Path(p["cwd"]).is_relative_to(folder)]


@pytest.mark.slow
def test_what_comes_out_and_how_it_is_extended(bench: Bench) -> None:
    text = bench.run("--trials", "3", "--scheduler", "none")
    assert "selected without target labels" in text
    files = {"trials.parquet", "best.yaml", "report.html", "study.journal", "history.png"}
    assert files <= {path.name for path in bench.out.iterdir()}
    first = bench.trials()
    assert [trial.state for trial in first] == [TrialState.COMPLETE] * 3
    table = pd.read_parquet(bench.out / "trials.parquet")
    assert len(table) == 3 * EPOCHS
    assert table.groupby("trial")["selected"].sum().tolist() == [1, 1, 1]
    # best.yaml is the config of a trial, as `gckd train --config` takes it.
    best = read_config(bench.out / "best.yaml")
    assert best.graph.propagate.k in set(table["edit:graph.propagate.k"]) | {bench.config.graph.propagate.k}
    # The base config is itself the first trial.
    assert first[0].user_attrs["edits"]["graph.propagate.k"] == bench.config.graph.propagate.k
    again = bench.run("--trials", "4", "--scheduler", "none")
    assert "pretrain" not in again
    assert [trial.values for trial in bench.trials()[:3]] == [trial.values for trial in first]
    assert len([trial for trial in bench.trials() if trial.state == TrialState.COMPLETE]) >= 4
    assert processes_of(bench.folder) == []


@pytest.mark.slow
def test_kill_9_loses_nothing(bench: Bench) -> None:
    bench.configure(apply(bench.config, {"adapt.steps": 300}))
    driver = bench.start("--trials", "2", "--scheduler", "none")
    bench.told(1)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    killed = {trial.number: trial for trial in bench.trials()}
    assert any(trial.state == TrialState.RUNNING for trial in killed.values())
    bench.run("--trials", "2", "--scheduler", "none")
    for trial in bench.trials():
        assert trial.state == TrialState.COMPLETE
        assert list(trial.intermediate_values) == list(range(1, EPOCHS + 1))
        before = killed[trial.number].intermediate_values if trial.number in killed else {}
        assert before.items() <= trial.intermediate_values.items()
    assert len(bench.trials()) == 2


@pytest.mark.slow
def test_ctrl_c_stops_cleanly(bench: Bench) -> None:
    bench.configure(apply(bench.config, {"adapt.steps": 300}))
    driver = bench.start("--trials", "2", "--scheduler", "none")
    bench.told(1)
    driver.send_signal(signal.SIGINT)
    text = driver.communicate(timeout=PATIENCE)[0]
    assert driver.returncode == 130, text
    assert "the same command goes on" in text
    assert "Traceback" not in text
    assert (bench.out / "report.html").exists()
    end = time.monotonic() + 30
    while processes_of(bench.folder) and time.monotonic() < end:
        time.sleep(0.5)
    assert processes_of(bench.folder) == []


@pytest.mark.slow
def test_one_worker_and_two_give_the_same_metrics(bench: Bench) -> None:
    """The same function in a reused actor and under a nested TorchTrainer; dropout masks are a worker's own."""
    bench.configure(apply(bench.config, {"backbone.text.dropout": 0.0}))
    bench.run("--trials", "1", "--scheduler", "none", "--no-audit")
    bench.run("--trials", "1", "--scheduler", "none", "--no-audit", "--workers-per-trial", "2", out="nested")
    (one,), (two,) = bench.trials(), bench.trials("nested")
    for epoch in range(1, EPOCHS + 1):
        first, second = (t.user_attrs[f"epoch/{epoch}"] for t in (one, two))
        same = {name: number for name, number in first.items() if name != "seconds"}
        assert {name: second[name] for name in same} == pytest.approx(same, rel=1e-2, abs=1e-2)


REFUSED = {
    "scheduler": (["--scheduler", "pbt"], "--scheduler: 'pbt' is not one of asha, none"),
    "select": (["--select", "rank_1"], "--select: 'rank_1' is not one of default"),
    "objective": (["--objective", "speed"], "--objective: 'speed' is not one of score, seconds, memory_gib"),
    "first objective": (["--objective", "seconds"], "--objective: 'seconds' is first, and score must be"),
    "sampler": (["--sampler", "cma"], "--sampler: 'cma' is not one of"),
    "storage": (["--storage", "study.db"], "--storage: 'study.db' is neither"),
    "space": (["--space", "missing.yaml"], "--space: missing.yaml cannot be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_line(
    bench: Bench, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.folder)
    arguments, message = REFUSED[name]
    with pytest.raises(SystemExit) as ended:
        run_command(search, ["--config", "config.yaml", "--space", "space.yaml", "--cache", "cache", *arguments])
    assert ended.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert message in line


def test_dry_run_trains_nothing(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.folder)
    with pytest.raises(SystemExit) as ended:
        run_command(search, ["--config", "config.yaml", "--space", "space.yaml", "--cache", "cache", "--dry-run"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "16 trials by tpe, 0 of them done" in text
    assert "estimate" in text
    assert not (bench.folder / "runs").exists()
    assert not (bench.folder / "cache" / "pretrain").exists()

"""`python tune/search.py` as a process, on a real, embedded Ray: what it leaves, resumes, extends and refuses."""

from __future__ import annotations

import signal
import time
from typing import Any

import pandas as pd
import pytest
from optuna.trial import TrialState

from gckd.cli.guard import run_command
from gckd.cli.tune import search
from gckd.config import apply, read_config
from tests.tune.search_process import EPOCHS, PATIENCE, SearchFolder, processes_of

pytestmark = pytest.mark.timeout(900)  # a Ray takes a minute to start on a busy machine, and a test starts two


@pytest.mark.slow
def test_what_comes_out_and_how_it_is_extended(place: SearchFolder) -> None:
    text = place.run("--trials", "3", "--scheduler", "none")
    assert "selected without target labels" in text
    files = {"trials.parquet", "best.yaml", "report.html", "study.journal", "history.png"}
    assert files <= {path.name for path in place.out.iterdir()}
    first = place.trials()
    assert [trial.state for trial in first] == [TrialState.COMPLETE] * 3
    table = pd.read_parquet(place.out / "trials.parquet")
    assert len(table) == 3 * EPOCHS
    assert table.groupby("trial")["selected"].sum().tolist() == [1, 1, 1]
    # best.yaml is the config of a trial, as `gckd train --config` takes it.
    best = read_config(place.out / "best.yaml")
    assert best.graph.propagate.k in set(table["edit:graph.propagate.k"]) | {place.config.graph.propagate.k}
    # The base config is itself the first trial.
    assert first[0].user_attrs["edits"]["graph.propagate.k"] == place.config.graph.propagate.k
    again = place.run("--trials", "4", "--scheduler", "none")
    assert "pretrain" not in again
    assert [trial.values for trial in place.trials()[:3]] == [trial.values for trial in first]
    assert len([trial for trial in place.trials() if trial.state == TrialState.COMPLETE]) >= 4
    assert processes_of(place.folder) == []


@pytest.mark.slow
def test_kill_9_loses_nothing(place: SearchFolder) -> None:
    place.configure(apply(place.config, {"adapt.steps": 300}))
    driver = place.start("--trials", "2", "--scheduler", "none")
    place.told(1)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    killed = {trial.number: trial for trial in place.trials()}
    assert any(trial.state == TrialState.RUNNING for trial in killed.values())
    place.run("--trials", "2", "--scheduler", "none")
    for trial in place.trials():
        assert trial.state == TrialState.COMPLETE
        assert list(trial.intermediate_values) == list(range(1, EPOCHS + 1))
        before = killed[trial.number].intermediate_values if trial.number in killed else {}
        assert before.items() <= trial.intermediate_values.items()
    assert len(place.trials()) == 2


@pytest.mark.slow
def test_ctrl_c_stops_cleanly(place: SearchFolder) -> None:
    place.configure(apply(place.config, {"adapt.steps": 300}))
    driver = place.start("--trials", "2", "--scheduler", "none")
    place.told(1)
    driver.send_signal(signal.SIGINT)
    text = driver.communicate(timeout=PATIENCE)[0]
    assert driver.returncode == 130, text
    assert "the same command goes on" in text
    assert "Traceback" not in text
    assert (place.out / "report.html").exists()
    end = time.monotonic() + 30
    while processes_of(place.folder) and time.monotonic() < end:
        time.sleep(0.5)
    assert processes_of(place.folder) == []


def test_the_same_command_goes_on_from_an_interruption_before_the_first_trial(
    place: SearchFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Any, study: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(place.folder)
    monkeypatch.setattr("gckd.tune.search.HyperparameterSearch._search", interrupt)
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            run_command(search, ["--config", "config.yaml", "--space", "space.yaml", "--cache", "cache"])
        assert ended.value.code == 130, capsys.readouterr().err


@pytest.mark.slow
def test_one_worker_and_two_give_the_same_metrics(place: SearchFolder) -> None:
    """The same function in a reused actor and under a nested TorchTrainer; dropout masks are a worker's own."""
    place.configure(apply(place.config, {"backbone.text.dropout": 0.0}))
    place.run("--trials", "1", "--scheduler", "none", "--no-audit")
    place.run("--trials", "1", "--scheduler", "none", "--no-audit", "--workers-per-trial", "2", out="nested")
    (one,), (two,) = place.trials(), place.trials("nested")
    for epoch in range(1, EPOCHS + 1):
        first, second = (t.user_attrs[f"epoch/{epoch}"] for t in (one, two))
        same = {name: number for name, number in first.items() if name != "seconds"}
        assert {name: second[name] for name in same} == pytest.approx(same, rel=1e-2, abs=1e-2)


REFUSED = {
    "scheduler": (["--scheduler", "pbt"], "--scheduler: unknown name 'pbt'; choose from asha, none"),
    "select": (["--select", "rank_1"], "--select: unknown name 'rank_1'; choose from default"),
    "objective": (
        ["--objective", "speed"],
        "--objective: unknown name 'speed'; choose from score, seconds, memory_gib",
    ),
    "first objective": (["--objective", "seconds"], "--objective: 'seconds' comes first; name score first"),
    "sampler": (["--sampler", "cma"], "--sampler: unknown name 'cma'; choose from tpe"),
    "storage": (["--storage", "study.db"], "--storage: 'study.db' is neither"),
    "space": (["--space", "missing.yaml"], "--space: missing.yaml cannot be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_line(
    place: SearchFolder, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.folder)
    arguments, message = REFUSED[name]
    with pytest.raises(SystemExit) as ended:
        run_command(search, ["--config", "config.yaml", "--space", "space.yaml", "--cache", "cache", *arguments])
    assert ended.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert message in line


def test_dry_run_trains_nothing(
    place: SearchFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.folder)
    with pytest.raises(SystemExit) as ended:
        run_command(search, ["--config", "config.yaml", "--space", "space.yaml", "--cache", "cache", "--dry-run"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "trials: 16 in the study, 0 of them finished, 16 to run" in text
    assert "estimate" in text
    assert not (place.folder / "runs").exists()
    assert not (place.folder / "cache" / "pretrain").exists()

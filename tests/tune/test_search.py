"""`python tune/search.py` as a process on an embedded Ray: output, resume, extension and refused input."""

from __future__ import annotations

import shutil
import signal
import time
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

from gckd.cli.guard import run_command
from gckd.cli.tune import search
from gckd.cluster.trial import BEST
from gckd.config import apply, read_config
from gckd.storage.checkpoint import load_checkpoint
from gckd.tune.best import audit_key
from gckd.tune.storage import open_storage
from tests.tune.search_process import EPOCHS, TIMEOUT_S, SearchFolder, processes_of

pytestmark = pytest.mark.timeout(900)  # Ray takes up to a minute to start on a busy machine; some tests start it twice


@pytest.mark.slow
def test_a_search_writes_its_report_and_can_be_extended(search_folder: SearchFolder) -> None:
    text = search_folder.run("--trials", "3", "--scheduler", "none")
    assert "selected without target labels" in text
    files = {"trials.parquet", "best.yaml", "report.html", "study.journal", "history.png"}
    assert files <= {path.name for path in search_folder.out.iterdir()}
    first = search_folder.trials()
    assert [trial.state for trial in first] == [TrialState.COMPLETE] * 3
    table = pd.read_parquet(search_folder.out / "trials.parquet")
    assert len(table) == 3 * EPOCHS
    assert table.groupby("trial")["selected"].sum().tolist() == [1, 1, 1]
    # best.yaml is the config of a trial, in the format of `gckd train --config`.
    best = read_config(search_folder.out / "best.yaml")
    assert best.graph.propagate.k in set(table["edit:graph.propagate.k"]) | {search_folder.config.graph.propagate.k}
    # The base config is itself the first trial.
    assert first[0].user_attrs["edits"]["graph.propagate.k"] == search_folder.config.graph.propagate.k
    again = search_folder.run("--trials", "4", "--scheduler", "none")
    assert "pretrain" not in again
    assert [trial.values for trial in search_folder.trials()[:3]] == [trial.values for trial in first]
    assert len([trial for trial in search_folder.trials() if trial.state == TrialState.COMPLETE]) >= 4
    assert processes_of(search_folder.folder) == []


@pytest.mark.slow
def test_a_study_of_another_default_score_is_refused(search_folder: SearchFolder) -> None:
    """Values of its trials would not compare with new ones."""
    search_folder.run("--trials", "1", "--scheduler", "none", "--no-audit")
    study = optuna.load_study(storage=open_storage(None, search_folder.out), study_name="out")
    assert study.user_attrs["default_score"] == "im"
    study.set_user_attr("default_score", "bnm")
    text = search_folder.run("--trials", "2", "--no-audit", status=2)
    assert "'out' belongs to another search" in text and "default_score" in text
    assert len(search_folder.trials()) == 1


@pytest.mark.slow
def test_a_search_confirms_its_choice_with_further_seeds(search_folder: SearchFolder) -> None:
    text = search_folder.run("--trials", "2", "--scheduler", "none", "--confirm-seeds", "2")
    assert "confirmation: " in text and "Chosen config against the source model: " in text
    runs = pd.read_parquet(search_folder.out / "confirmation" / "runs.parquet")
    seeds = [search_folder.config.seed + 1, search_folder.config.seed + 2]
    assert runs.status.eq("done").all()
    assert {row: sorted(of_row.seed) for row, of_row in runs.groupby("row")}.items() >= {
        "full": seeds,
        "source-model": seeds,
    }.items()
    page = (search_folder.out / "report.html").read_text()
    assert page.index("<h2>Verdict</h2>") < page.index("<h2>Chosen trial</h2>")
    headline = page.partition("<h1>")[2].partition("</h1>")[0]
    assert headline.startswith(("Use best.yaml: ", "Keep the defaults: ")) and page.count(headline) == 1
    again = search_folder.run("--trials", "2", "--scheduler", "none", "--confirm-seeds", "2")
    assert f"confirmation: 0 of {len(runs)} runs to do" in again


@pytest.mark.slow
def test_a_failed_audit_costs_its_figures_alone_and_is_repeated(search_folder: SearchFolder) -> None:
    """The checkpoint of a trial is damaged between the trials and the audit, and restored later."""
    search_folder.run("--trials", "1", "--scheduler", "none", "--no-audit")
    report = search_folder.out / "report.html"
    report.unlink()
    checkpoints = {file: file.read_bytes() for file in search_folder.out.glob(f"trials/*/*/{BEST}")}
    assert len(checkpoints) == 1
    for file in checkpoints:
        file.write_bytes(b"damaged")
    text = search_folder.run("--trials", "1", "--scheduler", "none")
    assert "warning: audit: failed (" in text and "warning: evaluation on test: failed (" in text
    assert text.count("repeat the command to try again") == 2 and "Traceback" not in text
    assert report.exists() and not audited_trials(search_folder)
    for file, content in checkpoints.items():
        file.write_bytes(content)
    assert "failed (" not in search_folder.run("--trials", "1", "--scheduler", "none")
    assert audited_trials(search_folder) == {0}


def audited_trials(search_folder: SearchFolder) -> set[int]:
    """Numbers of the trials with true metrics in the study."""
    study = optuna.load_study(storage=open_storage(None, search_folder.out), study_name="out")
    return {trial.number for trial in study.trials if audit_key(trial.number) in study.user_attrs}


@pytest.mark.slow
def test_a_search_resumes_after_kill_9_without_loss(search_folder: SearchFolder) -> None:
    search_folder.configure(apply(search_folder.config, {"adapt.steps": 300}))
    driver = search_folder.start("--trials", "2", "--scheduler", "none")
    search_folder.wait_for_epochs(1)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    killed = {trial.number: trial for trial in search_folder.trials()}
    assert any(trial.state == TrialState.RUNNING for trial in killed.values())
    search_folder.run("--trials", "2", "--scheduler", "none")
    for trial in search_folder.trials():
        assert trial.state == TrialState.COMPLETE
        assert list(trial.intermediate_values) == list(range(1, EPOCHS + 1))
        before = killed[trial.number].intermediate_values if trial.number in killed else {}
        assert before.items() <= trial.intermediate_values.items()
    assert len(search_folder.trials()) == 2


@pytest.mark.slow
def test_ctrl_c_saves_the_running_trials_writes_the_report_and_leaves_no_process(search_folder: SearchFolder) -> None:
    search_folder.configure(apply(search_folder.config, {"adapt.steps": 300}))
    driver = search_folder.start("--trials", "2", "--scheduler", "none")
    search_folder.wait_for_epochs(1)
    driver.send_signal(signal.SIGINT)
    text = driver.communicate(timeout=TIMEOUT_S)[0]
    assert driver.returncode == 130, text
    assert "repeat the command to resume" in text and "To resume the search: " in text
    assert "Traceback" not in text
    assert (search_folder.out / "report.html").exists()
    steps = [load_checkpoint(file)["step"] for file in search_folder.out.glob("trials/*/*/checkpoint.pt")]
    assert any(step % (300 // EPOCHS) for step in steps)  # saved between two evaluations
    end = time.monotonic() + 30
    while processes_of(search_folder.folder) and time.monotonic() < end:
        time.sleep(0.5)
    assert processes_of(search_folder.folder) == []


def test_a_search_resumes_after_a_kill_at_any_file_before_the_first_trial(
    search_folder: SearchFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kill is between two of the first files: the others are removed. Older versions wrote the owner last."""

    def interrupt(self: Any, study: Any) -> None:
        raise KeyboardInterrupt

    def status() -> Any:
        command = ["--config", "config.yaml", "--space", "space.yaml", "--cache", "cache", "--out", "out"]
        with pytest.raises(SystemExit) as ended:
            run_command(search, command)
        return ended.value.code

    monkeypatch.chdir(search_folder.folder)
    monkeypatch.setattr("gckd.tune.search.HyperparameterSearch._search", interrupt)
    first_files = {"owner", "config.yaml", "study.journal"}
    for left in (set(), {"owner"}, {"owner", "config.yaml"}, {"config.yaml"}, {"config.yaml", "study.journal"}):
        search_folder.out.mkdir(exist_ok=True)
        for path in search_folder.out.iterdir():
            if path.name not in left:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert status() == 130, (left, capsys.readouterr().err)
        assert first_files <= {path.name for path in search_folder.out.iterdir()}
    (search_folder.out / "owner").unlink()
    (search_folder.out / "trials").mkdir()
    assert status() == 2 and "is not empty; add --resume" in capsys.readouterr().err


@pytest.mark.slow
def test_one_worker_and_two_workers_have_equal_metrics(search_folder: SearchFolder) -> None:
    """The same function in a reused actor and in a nested TorchTrainer, without dropout, whose masks differ."""
    search_folder.configure(apply(search_folder.config, {"backbone.text.dropout": 0.0}))
    search_folder.run("--trials", "1", "--scheduler", "none", "--no-audit")
    search_folder.run("--trials", "1", "--scheduler", "none", "--no-audit", "--workers-per-trial", "2", out="nested")
    (one,), (two,) = search_folder.trials(), search_folder.trials("nested")
    for epoch in range(1, EPOCHS + 1):
        first, second = (t.user_attrs[f"epoch/{epoch}"] for t in (one, two))
        expected = {name: number for name, number in first.items() if name != "seconds"}
        assert {name: second[name] for name in expected} == pytest.approx(expected, rel=1e-2, abs=1e-2)


REFUSED = {
    "scheduler": (["--scheduler", "pbt"], "--scheduler: unknown scheduler 'pbt'; choose from asha, none"),
    "select": (["--select", "rank_1"], "--select: unknown score 'rank_1'; choose from default"),
    "objective": (
        ["--objective", "speed"],
        "--objective: unknown objective 'speed'; choose from score, seconds, memory_gib",
    ),
    "first objective": (["--objective", "seconds"], "--objective: 'seconds' comes first; name score first"),
    "sampler": (["--sampler", "cma"], "--sampler: unknown sampler 'cma'; choose from tpe"),
    "storage": (["--storage", "study.db"], "--storage: 'study.db' is neither"),
    "space": (["--space", "missing.yaml"], "--space: missing.yaml: cannot be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_in_one_line(
    search_folder: SearchFolder, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(search_folder.folder)
    arguments, message = REFUSED[name]
    with pytest.raises(SystemExit) as ended:
        run_command(search, ["--config", "config.yaml", "--space", "space.yaml", "--cache", "cache", *arguments])
    assert ended.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert message in line


def test_a_dry_run_prints_the_plan_and_trains_nothing(
    search_folder: SearchFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(search_folder.folder)
    with pytest.raises(SystemExit) as ended:
        run_command(search, ["--config", "config.yaml", "--space", "space.yaml", "--cache", "cache", "--dry-run"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "trials: 16 in the study, 0 of them finished, 16 to run" in text
    assert "estimate" in text
    assert not (search_folder.folder / "runs").exists()
    assert not (search_folder.folder / "cache" / "pretrain").exists()

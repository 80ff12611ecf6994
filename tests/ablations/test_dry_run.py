"""`gckd ablate --dry-run`: plan and estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gckd.ablations import dry_run
from gckd.ablations.dry_run import estimate
from gckd.cli.ablate import ablate
from gckd.cli.guard import run_command
from gckd.config import apply, preset
from gckd.runs.plan import plan
from gckd.runs.run_state import clock_text
from gckd.training.timing import StepSeconds
from tests.cli.test_commands import MINIATURE
from tests.toy import make_toy

if TYPE_CHECKING:
    from pathlib import Path


def test_the_estimate_is_the_time_of_all_steps_over_the_runs_at_a_time(tmp_path: Path) -> None:
    """Two source models of 100 steps of 0.5 s; full for two seeds of 30 steps of 2 s; the source model takes none."""
    config = apply(preset("tiny"), {"pretrain.steps": 100, "adapt.steps": 30})
    runs = plan(config, {"source-model": {"adapt.steps": 0}}, 2, tmp_path)
    text = estimate(runs, runs[:2], StepSeconds(0.5, 2.0, False), concurrent=2)
    assert text.startswith("estimate: about 1:50 without evaluations: source models 0:50, rows 1:00 (measured here")


def test_a_dry_run_prints_the_plan_and_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_toy(tmp_path / "a")
    make_toy(tmp_path / "b", shade=200)
    monkeypatch.chdir(tmp_path)
    sets = [word for path, value in MINIATURE.items() for word in ("--set", f"{path}={value}")]
    fixed = ["--source", "a", "--target", "b", "--cache", "cache", "--out", "out", "--workers", "2"]
    fixed += ["--workers-per-run", "3", "--gpus-per-worker", "0.5"]
    with pytest.raises(SystemExit) as caught:
        run_command(ablate, [*fixed, *sets, "--drop", "gmp", "--seeds", "2", "--dry-run"])
    assert caught.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert "rows: 3" in lines and "  full: the full config" in lines
    assert "  -gmp: graph.propagate=none" in lines and "  source-model: adapt.steps=0" in lines
    assert "seeds: 0, 1" in lines
    assert "runs: 6; 0 finished in the output, 6 to run" in lines
    assert "source models: 2 needed, 0 in the cache" in lines
    assert "resources per run: 3 workers with 1 CPU and 0.5 GPU each; on this machine 2 runs at a time" in lines
    assert [line.partition(":")[0] for line in lines[-2:]] == ["estimate", "memory"]
    assert not (tmp_path / "out").exists() and not (tmp_path / "runs").exists()


def test_the_dry_run_of_a_grid_ends_with_its_total(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps of one and of two seconds: 2 subtables x (2 adapted rows x 4 steps x 2 s + 1 source model of 4 s)."""
    make_toy(tmp_path / "a")
    make_toy(tmp_path / "b", shade=200)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dry_run, "step_seconds", lambda *_: StepSeconds(1.0, 2.0, False))
    sets = [word for path, value in MINIATURE.items() for word in ("--set", f"{path}={value}")]
    (tmp_path / "grid.yaml").write_text("pairs: all\ndrop: [gmp]\n")
    given = ["--spec", "grid.yaml", "--dataset", "a", "--dataset", "b", "--cache", "cache", "--out", "out"]
    with pytest.raises(SystemExit) as caught:
        run_command(ablate, [*given, *sets, "--workers", "1", "--seeds", "1", "--dry-run"])
    assert caught.value.code == 0
    *_, last = capsys.readouterr().out.splitlines()
    steps = {path: int(MINIATURE[path]) for path in ("pretrain.steps", "adapt.steps")}
    time = clock_text(2 * (2 * steps["adapt.steps"] * 2.0 + steps["pretrain.steps"] * 1.0))
    assert last == f"total of 2 subtables: 6 runs and 2 source models to train, about {time} without evaluations"

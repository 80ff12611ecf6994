"""Every benchmark runs, at a size where it says nothing."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from benchmarks import fullsize, peak, propagation, retrieval, search, speedup, step
from gckd.config import apply, to_yaml
from tests.toy import make_toy
from tests.train.micro import micro

BATCHES = ["--set", "adapt.batch=8", "--set", "adapt.fusion_every=1"]
SMALL = [*BATCHES, "--set", "graph.memory.capacity=64", "--rounds", "1"]
COMMANDS: dict[str, tuple[click.Command, list[str], list[str]]] = {
    "propagation": (propagation.main, ["--capacity", "64", "--rounds", "1"], ["two-hop", "lists"]),
    "step": (
        step.main,
        [*SMALL, "--ids", "24", "--periods", "1", "--set", "pretrain.batch=16", "--set", "pretrain.fusion_every=1"],
        ["pre-training", "full"],
    ),
    "fullsize": (fullsize.main, [*SMALL, "--preset", "tiny", "--steps", "2"], ["images/s", "share of teacher"]),
    "retrieval": (retrieval.main, ["--preset", "tiny", "--rounds", "1"], ["CPU seconds", "2 threads"]),
    "search": (search.main, ["--trials", "3", "--ids", "24"], ["the others, median", "3 trials"]),
    "peak": (peak.main, ["--", "true"], ["true: exit status 0", "GiB"]),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_runs(name: str) -> None:
    command, arguments, expected = COMMANDS[name]
    found = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    assert all(part in found.output for part in expected)


@pytest.mark.slow
def test_speedup_runs(tmp_path: Path) -> None:
    config = apply(micro(make_toy(tmp_path / "a"), make_toy(tmp_path / "b", shade=120)), {"graph.memory.capacity": 16})
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    (tmp_path / "space.yaml").write_text("graph.propagate.k: {int: [1, 4]}")
    places = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    options = ["--config", str(tmp_path / "config.yaml"), "--space", str(tmp_path / "space.yaml"), "--epochs", "1"]
    found = CliRunner().invoke(speedup.main, ["--trials", "1", *places, *options], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    assert "ratio" in found.output

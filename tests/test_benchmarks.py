"""Every benchmark runs, at a size where it says nothing."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from benchmarks import fullsize, peak, propagation, retrieval, search, step

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

"""The commands and the Python of the tutorial, in its order, at a smaller size."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import gckd
from gckd.cli.main import cli
from gckd.config import to_yaml
from tests.documents.blocks import ROOT, blocks_of, commands_in
from tests.test_library import MICRO

TUTORIAL = ROOT / "docs" / "tutorial.md"
SMALL = {"100": "60"}  # --ids; with fewer, the default search space has no size of the banks
OUTPUTS = [
    "street/RSTPReid/data_captions.json",
    "matches.png",
    "runs/first/report.html",
    "runs/table/table.tex",
    "runs/search/best.yaml",
    "runs/search/report.html",
]


def write_config(folder: Path) -> None:
    """quick.yaml of a run of a few seconds, where the tutorial writes one of a few minutes."""
    data = {"data.source": "street/ICFG-PEDES", "data.target": "street/RSTPReid"}
    (folder / "quick.yaml").write_text(to_yaml(gckd.apply(gckd.preset("tiny"), MICRO | data)))


@pytest.mark.slow
def test_the_check_prints_what_the_tutorial_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (commands,) = [block.text.splitlines() for block in blocks_of(TUTORIAL) if "data check" in block.text]
    outputs = [CliRunner().invoke(cli, command.split()[1:]).output for command in commands]
    (shown,) = [block.text for block in blocks_of(TUTORIAL) if "problems: none" in block.text]
    expected = [line for line in shown.splitlines() if line != "..." and "/home/you" not in line]
    printed = iter(outputs[-1].splitlines())
    assert [line for line in expected if line not in (text.rstrip() for text in printed)] == []  # all, in this order


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GCKD_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    text = "".join(block.text for block in blocks_of(TUTORIAL) if block.language == "sh")
    for command in commands_in("docs/tutorial.md", text):
        program, *arguments = command.words
        if program == "pip":
            continue
        assert program == "gckd"
        if arguments[0] == "config":
            write_config(tmp_path)
        small = [SMALL.get(argument, argument) for argument in arguments]
        done = subprocess.run(
            [sys.executable, "-m", "gckd", *small], capture_output=True, text=True, env=environment, timeout=600
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert [name for name in OUTPUTS if not (tmp_path / name).exists()] == []
    (python,) = [block.text for block in blocks_of(TUTORIAL) if block.language == "python"]
    done = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[0]) >= 0

"""Log of the Ray launches on a machine."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import pytest
import torch

from gckd.cluster.execution import Execution
from gckd.cluster.launch_log import log_launch
from gckd.runs.provenance import Provenance
from gckd.runs.records import Records
from tests.report.records import record


def _interrupted(execution: Execution) -> None:
    execution.records.add(record("full", 1, 50))
    raise KeyboardInterrupt


def test_a_launch_that_recorded_a_run_is_logged_even_if_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["ablations/run.py", "--out", "two words"])
    execution = Execution(
        Records(tmp_path), Provenance("1a2b", "a", "b", ""), tmp_path, display=None, concurrent=2, threads=3
    )  # type: ignore[arg-type]
    with log_launch(execution):
        pass
    assert not (tmp_path / "launches.json").exists()
    with log_launch(execution):
        execution.records.add(record("full", 0, 50))
    with pytest.raises(KeyboardInterrupt), log_launch(execution):
        _interrupted(execution)
    first, second = entries = json.loads((tmp_path / "launches.json").read_text())
    assert first.keys() == second.keys()
    expected: dict[str, Any] = {
        "code": "1a2b",
        "torch": torch.__version__.partition("+")[0],
        "Python": platform.python_version(),
    }
    assert all(launch[name].partition("+")[0] == value for launch in entries for name, value in expected.items())
    assert (first["runs at a time"], first["threads of a run"]) == (2, 3)
    assert first["command"] == second["command"] == "python ablations/run.py --out 'two words'"

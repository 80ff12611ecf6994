"""Workers of a run listen on loopback only, where all of them are on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_workers_of_a_run_listen_on_loopback_only(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    script = Path(__file__).with_name("listening_workers.py")
    subprocess.run(
        [sys.executable, script, tmp_path], check=True, env=environment | {"PYTHONPATH": str(ROOT)}, timeout=280
    )
    facts = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert [fact["sum"] for fact in facts] == [2.0, 2.0]  # they share a process group
    addresses = [address.removeprefix("::ffff:") for fact in facts for address in fact["addresses"]]
    assert set(addresses) == {"127.0.0.1"}

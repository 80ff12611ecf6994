"""A place to run searches in, and a Ray of several nodes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tune.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.communicate()


@dataclass
class Nodes:
    """A Ray of two nodes with a CPU each, and a head without any, in processes below `pid`."""

    pid: int
    environment: dict[str, str]  # of a driver that is to find it
    raylets: list[int]  # pids, one a node


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Its folder is short, as the paths of sockets must be, and its own, for in Ray's the address is noted."""
    found = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t" * 64}
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        command = [sys.executable, str(Path(__file__).with_name("nodes.py")), "1", "1"]
        process = subprocess.Popen(
            command,
            env=os.environ | found | {"RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        address, *raylets = process.stdout.readline().split()
        yield Nodes(process.pid, found | {"RAY_ADDRESS": address}, [int(pid) for pid in raylets])
        process.communicate()

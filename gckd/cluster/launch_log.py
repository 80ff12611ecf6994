"""Who made the records of a folder: command, code, versions, machine and time of every launch, in launches.json."""

from __future__ import annotations

import contextlib
import json
import platform
import shlex
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import psutil

from gckd.device import cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gckd.cluster.executor import Execution

LAUNCHES_FILE = "launches.json"
_LIBRARIES = ("torch", "torch-geometric", "numpy", "scipy", "ray")
_GIB = 2**30


@contextlib.contextmanager
def log_launch(execution: Execution) -> Iterator[None]:
    """Adds a launch to the file when it ends, however that happens, unless it has recorded no run."""
    begun, clock, before = datetime.now(UTC), time.monotonic(), execution.records.runs
    try:
        yield
    finally:
        if execution.records.runs is not before:
            seconds = round(time.monotonic() - clock)
            _append(execution, {"begun": f"{begun:%Y-%m-%d %H:%M} UTC", "wall seconds": seconds, **_origin(execution)})


def _origin(execution: Execution) -> dict[str, Any]:
    memory = psutil.virtual_memory().total / _GIB
    return {
        "command": shlex.join(["python", *sys.argv]),
        "runs at a time": execution.workers,
        "threads of a run": execution.threads,
        "driver's machine": f"{platform.system()} {platform.machine()}, {cores()} cores, {memory:.0f} GiB of memory",
        "code": execution.provenance.revision,
        "Python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


def _append(execution: Execution, launch: dict[str, Any]) -> None:
    file = execution.records.folder / LAUNCHES_FILE
    held: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    file.write_text(json.dumps([*held, launch], indent=1) + "\n", encoding="utf-8")

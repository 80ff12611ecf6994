"""Log of all commands that added records to a folder, in launches.json: command, code, versions, machine, time."""

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
from gckd.storage import atomic
from gckd.storage.launches import LAUNCHES_FILE, read_launches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gckd.cluster.execution import Execution
    from gckd.runs.run_outcome import OutcomeT

_LIBRARIES = ("torch", "torch-geometric", "numpy", "scipy", "ray")
_GIB = 2**30


@contextlib.contextmanager
def log_launch(execution: Execution[OutcomeT]) -> Iterator[None]:
    """Context that appends an entry to the log at its end, also after an error, if a run was recorded in it.

    Raises:
        InputError: the log is damaged.
    """
    read = execution.records.folder / LAUNCHES_FILE
    if read.exists():
        read_launches(read)  # before anything runs
    started, clock, records_before = datetime.now(UTC), time.monotonic(), execution.records.runs
    try:
        yield
    finally:
        if execution.records.runs is not records_before:
            seconds = round(time.monotonic() - clock)
            _append(execution, {"begun": f"{started:%Y-%m-%d %H:%M} UTC", "wall seconds": seconds, **_facts(execution)})


def _facts(execution: Execution[OutcomeT]) -> dict[str, Any]:
    """Names as the report shows them."""
    memory = psutil.virtual_memory().total / _GIB
    return {
        "command": shlex.join(["python", *sys.argv]),
        "runs at a time": execution.concurrent,
        **({"workers of a run": execution.workers} if execution.workers > 1 else {}),
        f"threads of a {'worker' if execution.workers > 1 else 'run'}": execution.threads,
        "driver's machine": f"{platform.system()} {platform.machine()}, {cores()} cores, {memory:.0f} GiB of memory",
        "code": execution.provenance.revision,
        **({"plugins": _listed(execution.provenance.plugins)} if execution.provenance.plugins else {}),
        "Python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


def _listed(plugins: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({digest})" for name, digest in plugins.items())


def _append(execution: Execution[OutcomeT], entry: dict[str, Any]) -> None:
    file = execution.records.folder / LAUNCHES_FILE
    entries = read_launches(file) if file.exists() else []
    atomic.write(file, json.dumps([*entries, entry], indent=1) + "\n")

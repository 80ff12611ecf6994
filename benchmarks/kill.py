"""SIGKILLs of ablations and searches at random instants: the resumed command must end with the same results."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import psutil
import pyarrow.parquet as pq
from rich.table import Table

from gckd.data.street import make_street
from gckd.report.console import wide_console

ROOT = Path(__file__).resolve().parents[1]
SOURCE, TARGET = "ICFG-PEDES", "RSTPReid"
SHORT = (
    *("adapt.steps=4", "adapt.batch=16", "adapt.evaluations=2", "graph.memory.capacity=32"),
    *("pretrain.steps=8", "pretrain.batch=16", "pretrain.evaluations=2"),
)
MARK = "GCKD_KILL"  # environment variable by which all processes of a command are tables
# Columns with times, memory and random ids.
TIMINGS = {"seconds", "pretrain_seconds", "trial_seconds", "memory_gib", "owner", "folder", "revision", "git_revision"}
_LEFT_SECONDS = 120.0  # until Ray has noticed the death of its driver; its agents may wait 60 s for a dead server
_LEFTOVERS = ("*.partial", "partial-*", "*.making-*")


@dataclass(frozen=True)
class Command:
    """A command that is killed and resumed.

    arguments: without --out and --cache. tables: Parquet files, relative to the output, that are compared.
    """

    name: str
    arguments: tuple[str, ...]
    tables: tuple[str, ...]

    def start(self, folder: Path, mark: str) -> subprocess.Popen[bytes]:
        """Start the command with output and cache in `folder`."""
        where = ["--out", str(folder / "out"), "--cache", str(folder / "cache")]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        environment |= {"PYTHONPATH": str(ROOT), MARK: mark, "OMP_NUM_THREADS": "1"}
        with (folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *self.arguments, *where], cwd=folder, env=environment, stdout=log, stderr=log
            )

    def results(self, folder: Path) -> dict[str, list[dict[str, Any]]]:
        """Rows of every table, in a fixed order and without timings."""
        tables = {}
        for pattern in self.tables:
            for file in sorted((folder / "out").glob(pattern)):
                rows = pq.read_table(file).to_pylist()
                compared = [{name: row[name] for name in row if name not in TIMINGS} for row in rows]
                compared = [row for row in compared if row.get("name") not in TIMINGS]  # curves of seconds
                tables[str(file.relative_to(folder / "out"))] = sorted(compared, key=repr)
        return tables


def commands(street: Path, space: Path) -> list[Command]:
    """The ablation and the search."""
    shared = ["--source", str(street / SOURCE), "--target", str(street / TARGET)]
    shared += [word for edit in SHORT for word in ("--set", edit)]
    ablate = [str(ROOT / "ablations" / "run.py"), "--drop", "gmp", "--seeds", "1", "--workers", "1", "--resume"]
    search = [
        str(ROOT / "tune" / "search.py"),
        "--trials",
        "3",
        "--concurrent",
        "1",
        "--epochs",
        "2",
        "--confirm-seeds",
        "0",
    ]
    search += ["--space", str(space), "--scheduler", "none", "--no-audit"]
    tables = ("runs.parquet", "curves.parquet", "*/seed-*/queries.parquet")
    return [
        Command("ablation", (*ablate, *shared), tables),
        Command("search", (*search, *shared), ("trials.parquet",)),
    ]


def survive(command: Command, expected: Any, seconds: float, folder: Path) -> str | None:
    """Kill the command after `seconds`, resume it, and compare.

    Returns the problem; empty if there is none; None if the command ended before the kill.
    """
    mark = uuid.uuid4().hex
    process = command.start(folder, mark)
    try:
        process.wait(seconds)
        return None
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    if left := await_end(mark):
        return f"processes left after the kill: {left}"
    status = command.start(folder, mark).wait()
    if status:
        return f"the resumed command ends with status {status}: {last_line(folder / 'log')}"
    if left := await_end(mark):
        return f"processes left at the end: {left}"
    files = [str(file.relative_to(folder)) for pattern in _LEFTOVERS for file in folder.rglob(pattern)]
    if files:
        return f"files left: {', '.join(files)}"
    if command.results(folder) != expected:
        return "the results differ"
    return ""


def kill_repeatedly(command: Command, expected: Any, root: Path, instants: Iterator[float], kills: int) -> list[str]:
    """Kill the command `kills` times, each time in a new folder. Returns one line for each kill that was not survived.

    A command that ends before its instant is reported, and not counted as a kill.
    """
    problems, number = [], 0
    for seconds in instants:
        if number == kills:
            break
        folder = Path(tempfile.mkdtemp(prefix=f"{command.name}-", dir=root))
        problem = survive(command, expected, seconds, folder)
        kill = f"{command.name} {number}, {seconds:.2f} s"
        print(
            f"{kill}: {'ended before the kill, not counted' if problem is None else problem or 'survived'}", flush=True
        )
        number += problem is not None
        if problem:
            problems.append(f"{kill}: {problem}")
    return problems


def uniform(source: random.Random, seconds: float) -> Iterator[float]:
    """Instants between 0 and `seconds`, without end."""
    while True:
        yield source.uniform(0, seconds)


def await_end(mark: str) -> str:
    """Names of the processes with this mark that still run after a while; empty if all have ended."""
    end = time.monotonic() + _LEFT_SECONDS
    while (names := sorted(set(marked(mark)))) and time.monotonic() < end:
        time.sleep(0.5)
    return ", ".join(names)


def marked(mark: str) -> Iterator[str]:
    """Names of the running processes whose environment has the mark."""
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process.name()
        except psutil.Error:
            continue


def last_line(file: Path) -> str:
    """Last line of a text file."""
    lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


@click.command()
@click.option("--ablations", default=50, show_default=True, type=click.IntRange(min=0), help="Killed ablations.")
@click.option("--searches", default=50, show_default=True, type=click.IntRange(min=0), help="Killed searches.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the instants.")
@click.option("--ids", default=48, show_default=True, type=click.IntRange(min=24), help="Identities of the street.")
def main(ablations: int, searches: int, seed: int, ids: int) -> None:
    """Kill ablations and searches with SIGKILL at random instants, and repeat each command once.

    Every command starts with an empty output and an empty cache. The instants are uniform over the time that the
    command takes without a kill. A kill is survived if the repeated command ends with status 0 and the results of the
    command that was not killed, except for times, and if no process and no scratch file is left.

    \b
    python benchmarks/kill.py
    python benchmarks/kill.py --ablations 2 --searches 2

    Exit status: 0 if every kill was survived, else 1.
    """
    source, problems = random.Random(seed), list[str]()
    table = Table("command", "seconds without a kill", "kills", "survived")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        make_street(root / "street", ids=ids, domains=(SOURCE, TARGET))
        (root / "space.yaml").write_text("distill.teacher.m: {one_minus: [0.001, 0.1], log: true}")
        for command, kills in zip(commands(root / "street", root / "space.yaml"), (ablations, searches), strict=True):
            if not kills:
                continue
            whole = root / f"{command.name}-whole"
            whole.mkdir()
            begun = time.monotonic()
            if command.start(whole, uuid.uuid4().hex).wait():
                raise click.ClickException(f"{command.name}: fails without a kill: {last_line(whole / 'log')}")
            duration, expected = time.monotonic() - begun, command.results(whole)
            lost = kill_repeatedly(command, expected, root, uniform(source, duration), kills)
            table.add_row(command.name, f"{duration:.1f}", str(kills), str(kills - len(lost)))
            problems += lost
    wide_console().print(table)
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()

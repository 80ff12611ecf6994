"""What a search costs its driver, and a node costs its cluster, against the number of trials and nodes."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # run as a script: the checkout it lies in, before any installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import optuna
import psutil
from optuna.trial import FrozenTrial
from rich.table import Table

from benchmarks.hollow import BEGAN, NAME, SAID, WORKER, Used
from benchmarks.nodes import Nodes, simulated
from gckd.report.console import wide_console
from gckd.tune.storage import FILE, open_storage
from gckd.tune.trial_table import epochs

ROOT = Path(__file__).resolve().parents[1]
_WORKER = "ray::IDLE"  # title of a worker process that nobody has yet
_COUNT = click.IntRange(min=1)


@dataclass(frozen=True)
class Ran:
    """One search: what its driver used, and what its study says of the trials' delays."""

    used: Used
    at_work: float  # seconds from the first draw until every node had begun a trial
    began: Sequence[float]  # seconds, of the trials after those
    told: Sequence[float]
    journal: int  # bytes
    kept: int  # files that Tune itself has written beside the study


@dataclass(frozen=True)
class Standing:
    """Memory of an idle cluster, in MiB, shared pages divided among those who share them."""

    up: float  # seconds until all nodes had joined
    gcs: float
    head: float  # all of it, GCS included
    node: float  # median


@click.command()
@click.option("--nodes", default=(2, 4, 8), show_default=True, multiple=True, type=_COUNT, help="Of one CPU each.")
@click.option("--trials", default=(50, 200), show_default=True, multiple=True, type=_COUNT, help="Of each search.")
@click.option("--seconds", default=0.0, show_default=True, type=click.FloatRange(min=0), help="Of each epoch.")
def main(nodes: tuple[int, ...], trials: tuple[int, ...], seconds: float) -> None:
    """Run searches whose trials train nothing on a simulated cluster, and say what the driver and the nodes use.

    The nodes are processes on this machine's loopback, each with a Ray of its own. Tune, the searcher (TPE), the
    scheduler (ASHA), the study and its journal are those of a real search; a trial says up to four epochs of random
    scores, each after --seconds. At 0 seconds the driver is never idle, so its time a trial is the most it can do;
    trials that take their time show the delay by itself.

    \b
    python benchmarks/scale.py
    python benchmarks/scale.py --nodes 16 --trials 200 --seconds 2
    """
    found: dict[int, list[Ran]] = {}
    standing: dict[int, Standing] = {}
    for count in nodes:
        begun = time.perf_counter()
        with simulated([1] * count) as there:
            up = time.perf_counter() - begun
            standing[count] = stand(there, up)
            found[count] = [search(there, wanted, count, seconds) for wanted in trials]
    console = wide_console()
    console.print(searches(found, seconds))
    console.print(clusters(standing))


def search(there: Nodes, trials: int, nodes: int, seconds: float) -> Ran:
    """One search, by a driver process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            str(ROOT / "benchmarks" / "hollow.py"),
            folder,
            str(trials),
            str(nodes),
            str(seconds),
        ]
        environment = os.environ | there.environment | {"OMP_NUM_THREADS": "1"}
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
        found = optuna.load_study(storage=open_storage(None, Path(folder)), study_name=NAME).get_trials(deepcopy=False)
        journal = (Path(folder) / FILE).stat().st_size
        kept = sum(file.is_file() for file in (Path(folder) / "tune").rglob("*"))
    return ran(found, Used(**json.loads(said.splitlines()[-1])), journal, kept)


def ran(found: Sequence[FrozenTrial], used: Used, journal: int, kept: int) -> Ran:
    """What the trials of a search say of it."""
    first: dict[float, FrozenTrial] = {}  # of each worker, which pays for its start
    for trial in sorted(found, key=lambda trial: _said(trial, 1, BEGAN)):
        first.setdefault(_said(trial, 1, WORKER), trial)
    others = [trial for trial in found if trial not in first.values()]
    began, told = zip(*map(delays, others), strict=True)
    at_work = max(_said(trial, 1, BEGAN) for trial in first.values()) - min(map(_drawn, found))
    return Ran(used, at_work, began, told, journal, kept)


def delays(trial: FrozenTrial) -> tuple[float, float]:
    """Seconds from a trial's draw to its begin in a worker, and from its last result there to its end in the study."""
    assert trial.datetime_complete is not None
    last = _said(trial, max(epochs(trial)), SAID)
    return _said(trial, 1, BEGAN) - _drawn(trial), trial.datetime_complete.timestamp() - last


def _said(trial: FrozenTrial, epoch: int, what: str) -> float:
    return float(epochs(trial)[epoch][what])


def _drawn(trial: FrozenTrial) -> float:
    assert trial.datetime_start is not None
    return trial.datetime_start.timestamp()


def stand(there: Nodes, up: float) -> Standing:
    """What an idle cluster holds; workers are not counted."""
    nodes = [sum(_mib(process) for process in _tree(pid)) for pid in there.raylets]
    of_nodes = {process.pid for pid in there.raylets for process in _tree(pid)}
    (gcs,) = [process for process in _tree(there.pid) if process.name() == "gcs_server"]
    head = sum(_mib(p) for p in _tree(there.pid)[1:] if p.pid not in of_nodes)
    return Standing(up, _mib(gcs), head, statistics.median(nodes))


def _tree(pid: int) -> list[psutil.Process]:
    """A process, then those below it that are no workers."""
    first = psutil.Process(pid)
    return [first, *(p for p in first.children(recursive=True) if not " ".join(_words(p)).startswith(_WORKER))]


def _words(process: psutil.Process) -> Sequence[str]:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return list(process.cmdline())
    return [_WORKER]  # it is gone


def _mib(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return float(process.memory_full_info().pss) / 2**20
    return 0.0


def searches(found: dict[int, list[Ran]], seconds: float) -> Table:
    head = ("nodes", "trials", "at work, s", "a trial, s", "CPU, ms", "begins, s", "95 %", "told, s", "95 %")
    table = Table(*head, "driver, MiB", "a trial, KiB", "journal, KiB", "files", "closing, s", "open")
    table.caption = (
        f"Epochs of {seconds:g} s. At work: when every node has begun a trial. Of the driver, a trial, over the later "
        "half: wall-clock and CPU time, growth of memory; over all: journal, files that Tune keeps. Begins: from a "
        "trial's draw to its begin in a worker; told: from its last word to its end in the study; without each "
        "worker's first, medians and 95th percentiles. Closing: from the last trial's end until Tune is done. Open: "
        "files and sockets at the end."
    )
    for nodes, row in ((nodes, row) for nodes, rows in found.items() for row in rows):
        used, trials = row.used, len(row.used.seconds)
        table.add_row(
            str(nodes),
            str(trials),
            f"{row.at_work:.0f}",
            f"{growth(used.seconds):.3f}",
            f"{1000 * growth(used.cpu):.0f}",
            *(f"{value:.2f}" for values in (row.began, row.told) for value in _middle_and_most(values)),
            f"{used.memory[-1]:.0f}",
            f"{1024 * growth(used.memory):.0f}",
            f"{row.journal / 1024 / trials:.1f}",
            f"{row.kept / trials:.1f}",
            f"{used.closing:.1f}",
            str(used.files),
        )
    return table


def growth(values: Sequence[float]) -> float:
    """What the later half of the values grows by from one to the next, start-up left out."""
    half = len(values) // 2
    return (values[-1] - values[half]) / max(1, len(values) - 1 - half)


def _middle_and_most(values: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return statistics.median(ordered), ordered[int(0.95 * (len(ordered) - 1))]


def clusters(standing: dict[int, Standing]) -> Table:
    table = Table("nodes", "up, s", "GCS MiB", "head MiB", "a node, MiB", caption="idle, before any driver; PSS")
    for nodes, now in standing.items():
        table.add_row(str(nodes), f"{now.up:.0f}", f"{now.gcs:.0f}", f"{now.head:.0f}", f"{now.node:.0f}")
    return table


if __name__ == "__main__":
    main()

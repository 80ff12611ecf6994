"""Cost of a search for its driver, and of a node for its cluster, by number of trials and nodes."""

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

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import optuna
import psutil
from optuna.trial import FrozenTrial
from rich.table import Table

from benchmarks.hollow import NAME, REPORTED, STARTED, WORKER, Used
from benchmarks.nodes import Nodes, simulated
from gckd.report.console import wide_console
from gckd.tune.storage import FILE, open_storage
from gckd.tune.trial_table import epochs

ROOT = Path(__file__).resolve().parents[1]
_WORKER = "ray::IDLE"  # title of an unused worker process
_COUNT = click.IntRange(min=1)


@dataclass(frozen=True)
class SearchCost:
    """Resources of a search's driver, and delays of its trials."""

    used: Used
    all_busy: float  # seconds from the first proposal until every node had started a trial
    start_delays: Sequence[float]  # seconds, of the later trials
    report_delays: Sequence[float]
    journal: int  # bytes
    tune_files: int  # files that Tune writes beside the study


@dataclass(frozen=True)
class IdleCluster:
    """Memory of an idle cluster in MiB (proportional set size)."""

    up: float  # seconds until all nodes joined
    gcs: float
    head: float  # including GCS
    node: float  # median


@click.command()
@click.option(
    "--nodes",
    default=(2, 4, 8),
    show_default=True,
    multiple=True,
    type=_COUNT,
    help="Nodes of one CPU each; repeatable.",
)
@click.option(
    "--trials", default=(50, 200), show_default=True, multiple=True, type=_COUNT, help="Trials of a search; repeatable."
)
@click.option("--seconds", default=0.0, show_default=True, type=click.FloatRange(min=0), help="Seconds of an epoch.")
def main(nodes: tuple[int, ...], trials: tuple[int, ...], seconds: float) -> None:
    """Run searches whose trials train nothing on a simulated cluster, and measure driver and nodes.

    Each node is a group of processes on this machine's loopback. Tune, searcher (TPE), scheduler (ASHA), study and
    journal are those of a real search; a trial reports up to four epochs of random scores, each after --seconds. At
    0 seconds the driver is always busy, which shows its highest throughput; longer epochs show the delay alone.

    \b
    python benchmarks/scale.py
    python benchmarks/scale.py --nodes 16 --trials 200 --seconds 2
    """
    costs: dict[int, list[SearchCost]] = {}
    idle: dict[int, IdleCluster] = {}
    for count in nodes:
        begun = time.perf_counter()
        with simulated([1] * count) as cluster:
            up = time.perf_counter() - begun
            idle[count] = idle_cluster(cluster, up)
            costs[count] = [search(cluster, budget, count, seconds) for budget in trials]
    console = wide_console()
    console.print(searches(costs, seconds))
    console.print(clusters(idle))


def search(cluster: Nodes, trials: int, nodes: int, seconds: float) -> SearchCost:
    """Run one search in a driver process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            str(ROOT / "benchmarks" / "hollow.py"),
            folder,
            str(trials),
            str(nodes),
            str(seconds),
        ]
        environment = os.environ | cluster.environment | {"OMP_NUM_THREADS": "1"}
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
        study = optuna.load_study(storage=open_storage(None, Path(folder)), study_name=NAME)
        finished = study.get_trials(deepcopy=False)
        journal = (Path(folder) / FILE).stat().st_size
        tune_files = sum(file.is_file() for file in (Path(folder) / "tune").rglob("*"))
    return search_cost(finished, Used(**json.loads(printed.splitlines()[-1])), journal, tune_files)


def search_cost(trials: Sequence[FrozenTrial], used: Used, journal: int, tune_files: int) -> SearchCost:
    """Cost of a search from its trials."""
    first: dict[float, FrozenTrial] = {}  # first trial of each worker, which includes the start of its process
    for trial in sorted(trials, key=lambda trial: _stored(trial, 1, STARTED)):
        first.setdefault(_stored(trial, 1, WORKER), trial)
    later = [trial for trial in trials if trial not in first.values()]
    start_delays, report_delays = zip(*map(delays, later), strict=True)
    all_busy = max(_stored(trial, 1, STARTED) for trial in first.values()) - min(map(_proposed, trials))
    return SearchCost(used, all_busy, start_delays, report_delays, journal, tune_files)


def delays(trial: FrozenTrial) -> tuple[float, float]:
    """Seconds from a trial's proposal to its start in a worker, and from its last report to its end in the study."""
    assert trial.datetime_complete is not None
    last = _stored(trial, max(epochs(trial)), REPORTED)
    return _stored(trial, 1, STARTED) - _proposed(trial), trial.datetime_complete.timestamp() - last


def _stored(trial: FrozenTrial, epoch: int, name: str) -> float:
    return float(epochs(trial)[epoch][name])


def _proposed(trial: FrozenTrial) -> float:
    assert trial.datetime_start is not None
    return trial.datetime_start.timestamp()


def idle_cluster(cluster: Nodes, up: float) -> IdleCluster:
    """Memory of an idle cluster, without workers."""
    nodes = [sum(_mib(process) for process in _tree(pid)) for pid in cluster.raylets]
    of_nodes = {process.pid for pid in cluster.raylets for process in _tree(pid)}
    (gcs,) = [process for process in _tree(cluster.pid) if process.name() == "gcs_server"]
    head = sum(_mib(p) for p in _tree(cluster.pid)[1:] if p.pid not in of_nodes)
    return IdleCluster(up, _mib(gcs), head, statistics.median(nodes))


def _tree(pid: int) -> list[psutil.Process]:
    """Process and its descendants, without workers."""
    first = psutil.Process(pid)
    return [first, *(p for p in first.children(recursive=True) if not " ".join(_words(p)).startswith(_WORKER))]


def _words(process: psutil.Process) -> Sequence[str]:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return list(process.cmdline())
    return [_WORKER]  # the process has ended


def _mib(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return float(process.memory_full_info().pss) / 2**20
    return 0.0


def searches(costs: dict[int, list[SearchCost]], seconds: float) -> Table:
    head = ("nodes", "trials", "all busy, s", "per trial, s", "CPU, ms", "start, s", "95 %", "report, s", "95 %")
    table = Table(*head, "driver, MiB", "per trial, KiB", "journal, KiB", "files", "closing, s", "open")
    table.caption = (
        f"Epochs of {seconds:g} s. All busy: every node has started a trial. Driver, per trial, over the later half of "
        "the trials: wall-clock time, CPU time, memory growth; over all trials: journal, files of Tune. Start: from a "
        "trial's proposal to its start in a worker. Report: from its last report to its end in the study. Both without "
        "each worker's first trial, median and 95th percentile. Closing: from the last trial's end until Tune returns. "
        "Open: files and sockets at the end."
    )
    for nodes, cost in ((nodes, cost) for nodes, of_nodes in costs.items() for cost in of_nodes):
        used, trials = cost.used, len(cost.used.seconds)
        table.add_row(
            str(nodes),
            str(trials),
            f"{cost.all_busy:.0f}",
            f"{growth(used.seconds):.3f}",
            f"{1000 * growth(used.cpu):.0f}",
            *(
                f"{value:.2f}"
                for delays in (cost.start_delays, cost.report_delays)
                for value in _median_and_95th(delays)
            ),
            f"{used.memory[-1]:.0f}",
            f"{1024 * growth(used.memory):.0f}",
            f"{cost.journal / 1024 / trials:.1f}",
            f"{cost.tune_files / trials:.1f}",
            f"{used.closing:.1f}",
            str(used.files),
        )
    return table


def growth(values: Sequence[float]) -> float:
    """Mean increase between neighbours in the later half of the values, which excludes start-up."""
    half = len(values) // 2
    return (values[-1] - values[half]) / max(1, len(values) - 1 - half)


def _median_and_95th(values: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return statistics.median(ordered), ordered[int(0.95 * (len(ordered) - 1))]


def clusters(idle: dict[int, IdleCluster]) -> Table:
    table = Table(
        "nodes", "up, s", "GCS MiB", "head MiB", "per node, MiB", caption="idle, before any driver starts; PSS"
    )
    for nodes, memory in idle.items():
        table.add_row(str(nodes), f"{memory.up:.0f}", f"{memory.gcs:.0f}", f"{memory.head:.0f}", f"{memory.node:.0f}")
    return table


if __name__ == "__main__":
    main()

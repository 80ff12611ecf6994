"""Time and memory of the neighbour searches of a bank, step by step, while its capacity grows."""

from __future__ import annotations

import ctypes
import functools
import math
import statistics
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import click
import psutil
import torch
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from benchmarks.timing import cpu_seconds
from gckd.config.neighbour_search import TorchSearch
from gckd.graph.faiss_search import FaissNeighbourSearch, import_faiss
from gckd.graph.knn import CentredBank, Neighbours, NeighbourSearch, nearest
from gckd.graph.memory import centred
from gckd.graph.neighbour_search import UpdatedNeighbourSearch
from gckd.graph.statistics import recall
from gckd.report.console import wide_console

CAPACITIES = (1024, 4096, 16_384, 65_536, 262_144)
PER_IDENTITY = 5  # examples around a common centre, like images of one person
NOISE = 0.1  # of an example that is embedded again
SAMPLE = 256  # entries whose neighbours are checked
TOLERANCE = 1e-5
SECONDS_BETWEEN_SAMPLES = 0.005
NAME = "bank"

Searches = dict[str, Callable[[], Neighbours]]


class Sizes(NamedTuple):
    """Sizes of the banks and of the measurement."""

    batch: int
    width: int
    k: int
    rounds: int
    full_limit: int


class MovingBank:
    """Bank of C clustered unit vectors, of which each step embeds B again."""

    def __init__(self, capacity: int, sizes: Sizes) -> None:
        self.random = torch.Generator().manual_seed(0)
        self.capacity, self.batch = capacity, sizes.batch
        people = self._normal(-(-capacity // PER_IDENTITY), sizes.width).repeat_interleave(PER_IDENTITY, 0)
        self.examples = people[:capacity] + 0.7 * self._normal(capacity, sizes.width) + 0.5 * self._normal(sizes.width)
        self.entries = F.normalize(self.examples, dim=1)
        self.bank = self._centred()

    def step(self) -> None:
        """Replace B entries."""
        rows = torch.randperm(self.capacity, generator=self.random)[: self.batch]
        noise = NOISE * self._normal(len(rows), self.entries.shape[1])
        self.entries[rows] = F.normalize(self.examples[rows] + noise, dim=1)
        self.bank = self._centred()

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.random)

    def _centred(self) -> CentredBank:
        mean = self.entries.mean(0)
        return CentredBank(self.entries, mean, centred(self.entries, mean))


def searches_of(moving: MovingBank, sizes: Sizes) -> Searches:
    """Functions that search the neighbours of all entries; those that compare all pairs up to `full_limit` only."""
    kinds: dict[str, NeighbourSearch] = {
        "full": NeighbourSearch(),
        "updated": UpdatedNeighbourSearch(TorchSearch(update_above=0)),
        "faiss flat": FaissNeighbourSearch("flat"),
        "faiss ivf": FaissNeighbourSearch("ivf"),
    }
    if moving.capacity > sizes.full_limit:
        del kinds["full"], kinds["faiss flat"]
    return {name: functools.partial(_search, search, moving, sizes.k) for name, search in kinds.items()}


def _search(search: NeighbourSearch, moving: MovingBank, k: int) -> Neighbours:
    return search.of_bank(NAME, moving.bank, k)


def compare_searches(capacities: Sequence[int], sizes: Sizes) -> None:
    """Print the time and memory of each search per step, its recall, and how its time grows with C."""
    import_faiss().omp_set_num_threads(torch.get_num_threads())
    table = Table("C", "search", "CPU s per step", "memory, MiB", f"recall@{sizes.k}")
    console = wide_console()
    times: dict[str, list[tuple[int, float]]] = {}
    with torch.no_grad():
        for capacity in track(sorted(capacities or CAPACITIES), "measuring", console=console, transient=True):
            for name, seconds, *cells in measure(capacity, sizes):
                times.setdefault(name, []).append((capacity, seconds))
                table.add_row(f"{capacity:,}", name, f"{seconds:.4f}", *cells)
    console.print(table)
    for name, points in times.items():
        if len(points) > 1:
            first, last = points[0][0], points[-1][0]
            console.print(f"{name}: CPU time grows with C^{growth_exponent(points):.2f} from C = {first:,} to {last:,}")


def measure(capacity: int, sizes: Sizes) -> list[tuple[str, float, str, str]]:
    """Name, median CPU seconds per step, MiB and recall of each search."""
    moving = MovingBank(capacity, sizes)
    searches, memory = searches_of(moving, sizes), {}
    for name, search in searches.items():
        before = _resident_after_trim()
        search()  # the first search makes what later ones update
        moving.step()
        memory[name] = max(0, peak_memory(search) - before) / 2**20
    sample = torch.randperm(capacity, generator=moving.random)[:SAMPLE]
    exact = nearest(moving.bank.unit, sample, sizes.k)
    recalls = {}
    for name, search in searches.items():
        result = Neighbours(*(values[sample] for values in search()))
        recalls[name] = recall(result.indices, exact.indices)
        gap = float((result.cosine - exact.cosine).abs().max())
        if name != "faiss ivf" and gap > TOLERANCE:
            raise click.ClickException(f"C = {capacity}: {name} differs from exact search by {gap:.1e} > {TOLERANCE}")
    seconds = _seconds_per_step(moving, searches, sizes.rounds)
    return [(name, seconds[name], f"{memory[name]:,.0f}", f"{recalls[name]:.3f}") for name in searches]


def _seconds_per_step(moving: MovingBank, searches: Searches, rounds: int) -> dict[str, float]:
    """Median CPU seconds of each search over `rounds` steps; all search the same bank, one after another."""
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    for _ in range(rounds):
        moving.step()
        for name, search in searches.items():
            seconds[name].append(cpu_seconds(search))
    return {name: statistics.median(values) for name, values in seconds.items()}


def growth_exponent(points: Sequence[tuple[int, float]]) -> float:
    """Least-squares slope of log(seconds) over log(C)."""
    x = torch.tensor([math.log(size) for size, _ in points], dtype=torch.float64)
    y = torch.tensor([math.log(seconds) for _, seconds in points], dtype=torch.float64)
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / (x @ x))


def peak_memory(work: Callable[[], object]) -> int:
    """Largest resident memory of this process in bytes while `work` runs, sampled."""
    peak, done = _resident(), threading.Event()

    def sample() -> None:
        nonlocal peak
        while not done.wait(SECONDS_BETWEEN_SAMPLES):
            peak = max(peak, _resident())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join()
    return peak


def _resident_after_trim() -> int:
    """Resident memory after freed memory is returned to the system, which glibc does on request."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return _resident()


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)

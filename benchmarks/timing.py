"""Interleaved measurements, so that other load on the machine affects all alternatives equally."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(measured: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Median seconds of each alternative over `rounds` rounds, after one warm-up round."""
    values: dict[str, list[float]] = {name: [] for name in measured}
    for number in range(rounds + 1):
        for name, measure in measured.items():
            seconds = measure()
            if number:
                values[name].append(seconds)
    return {name: statistics.median(seconds) for name, seconds in values.items()}


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """Function that measures the wall-clock seconds of `work`."""

    def measure() -> float:
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun

    return measure


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of all threads of this process during `work`, which other load on the machine hardly changes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun

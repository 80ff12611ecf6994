"""Alternatives measured in turn, so that whatever else the machine does falls on all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(measured: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Median of what each alternative returns (seconds) over `rounds` rounds, after one round to warm up."""
    values: dict[str, list[float]] = {name: [] for name in measured}
    for number in range(rounds + 1):
        for name, measure in measured.items():
            seconds = measure()
            if number:
                values[name].append(seconds)
    return {name: statistics.median(found) for name, found in values.items()}


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """A measurement of the wall-clock seconds of `work`."""

    def measure() -> float:
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun

    return measure

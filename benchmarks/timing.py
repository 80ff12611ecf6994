"""Seconds of alternatives, measured in turn so that whatever else the machine does falls on all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(works: Mapping[str, Callable[[int], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each work over `rounds` rounds, after one round to warm up.

    Args:
        works: name -> what is timed; it is given the number of the round, from 0.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            begun = time.perf_counter()
            work(number)
            if number:
                seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in seconds.items()}

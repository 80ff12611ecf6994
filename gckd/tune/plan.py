"""Plan of a search: how many trials run, on what, and towards which objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

SCORE = "score"


SCHEDULERS = ("asha", "none")


REDUCTION = 2  # ASHA: of the trials at a rung, the better half goes on; see benchmarks/rungs.py


OBJECTIVES = {SCORE: "max", "seconds": "min", "memory_gib": "min"}


@dataclass(frozen=True)
class Plan:
    """How a search is run. Counts are of trials, workers a trial, CPU threads and GPUs a worker."""

    trials: int
    concurrent: int
    workers: int
    threads: int
    gpus: float
    scheduler: str
    objectives: Sequence[str]
    seeds: Sequence[int]
    mlflow: str | None  # tracking URI

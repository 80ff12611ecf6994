"""Plan of a search: number of trials, their resources, scheduler and objectives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gckd.cluster.worker_resources import WorkerResources

SCORE = "score"
OBJECTIVES = {SCORE: "max", "seconds": "min", "memory_gib": "min"}
SCHEDULERS = ("asha", "none")
REDUCTION = 2  # of ASHA: the better half of the trials at a rung continues; benchmarks/rungs.py compares values


@dataclass(frozen=True)
class Plan:
    """Number of trials of a search, and how they run."""

    trials: int  # in the study, with those of earlier runs
    concurrent: int  # trials at a time
    resources: WorkerResources  # of each trial
    scheduler: str  # of SCHEDULERS
    objectives: Sequence[str]  # of OBJECTIVES; the first selects the epoch
    seeds: Sequence[int]  # of each trial
    confirmation_seeds: int  # 0: no confirmation

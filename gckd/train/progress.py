"""What a run tells while it works, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gckd.train.evaluate import Ranking


@dataclass(frozen=True)
class Progress:
    """Where a run stands. `rank_1` (percent) is of target val, for the display only; nothing is selected by it."""

    stage: str  # "data", "pretrain", "warm-start", "adapt" or "evaluate"
    step: int
    steps: int
    losses: dict[str, float]
    rank_1: float | None


Report = Callable[[Progress], None]


@dataclass(frozen=True)
class RunResult:
    """Everything a table, a figure or a later reader needs to know of a finished run."""

    metrics: dict[str, float]  # rank_1, rank_5, rank_10, map, minp in percent, target test split
    curves: list[dict[str, str | int | float]]  # rows of stage, step, name, value
    seconds: float  # of adaptation and evaluation, wall clock
    pretrain_seconds: float  # of the pre-training that this run started from, whoever paid for it
    notes: tuple[str, ...]  # what a table must say
    config_digest: str
    source_digest: str
    target_digest: str
    queries: int
    gallery: int
    ranking: Ranking  # of the same split, query by query

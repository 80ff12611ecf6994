"""Progress of a run, as it reports it to displays and to Ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Current stage and step of a run, and its latest losses."""

    stage: str  # "data", "pretrain", "warm-start", "adapt" or "evaluate"
    step: int
    steps: int
    losses: dict[str, float]
    rank_1: float | None  # percent on target val; for display only, never for selection


ProgressCallback = Callable[[Progress], None]

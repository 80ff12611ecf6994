"""What a run tells while it works, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Progress:
    """Where a run stands. `rank_1` (percent) is of target val, for the display only; nothing is selected by it."""

    stage: str  # "data", "pretrain", "warm-start", "adapt" or "evaluate"
    step: int
    steps: int
    losses: dict[str, float]
    rank_1: float | None


Report = Callable[[Progress], None]

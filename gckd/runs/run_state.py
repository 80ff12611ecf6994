"""State of a run, as displays show it."""

from __future__ import annotations

from dataclasses import dataclass, field

WAITING, DONE, FAILED = "waiting", "done", "failed"
ENDED = (DONE, FAILED)


@dataclass
class RunState:
    """Progress of one run."""

    row: str
    seed: int
    stage: str = WAITING
    step: int = 0
    steps: int = 0
    losses: dict[str, float] = field(default_factory=dict)
    rank_1: float | None = None  # percent, latest measurement
    left: float | None = None  # seconds until the end of the stage
    message: str = ""  # reason of a failure

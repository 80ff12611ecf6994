"""State of a run, as displays show it."""

from __future__ import annotations

from dataclasses import dataclass, field

PREPARATION = "pre-training"  # row of the training of a source model
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
    rank_1: float | None = None  # percent on a split of the target, latest measurement
    left: float | None = None  # seconds until the end of the stage
    message: str = ""  # reason of a failure
    seconds: float = 0.0  # since its first report, until its end
    source_rank_1: float | None = None  # percent on source val, at the end of the run
    rank_split: str = "val"  # of `rank_1`


def clock_text(seconds: float | None) -> str:
    """`4:05`, or `1:02:03` for an hour or more; empty for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"

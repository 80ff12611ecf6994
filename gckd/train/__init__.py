"""Training and evaluation of one run. Knows no Ray."""

from gckd.train.progress import Progress, RunResult
from gckd.train.run import evaluate_checkpoint, prepare, run

__all__ = ["Progress", "RunResult", "evaluate_checkpoint", "prepare", "run"]

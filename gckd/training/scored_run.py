"""Run that ends with label-free scores instead of metrics, so that configs can be compared without target labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gckd.config.schema import Config
from gckd.device import on_config_device
from gckd.distributed import rank
from gckd.progress import ProgressCallback
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath
from gckd.training.load import CHECKPOINT
from gckd.training.search_trial import score_source_model, trial_evaluations
from gckd.training.trainer import Values
from gckd.validators import SCORES


@dataclass(frozen=True)
class ScoredRun:
    """Result of a run without target labels: the scores of `gckd.validators.SCORES` by name.

    start: of the source model. last: of the student after the last step. seconds: of the adaptation.
    """

    start: Mapping[str, float]
    last: Mapping[str, float]
    seconds: float

    @property
    def rank_1(self) -> None:
        """Not measured: Rank-1 on the target needs labels."""

    @property
    def source_rank_1(self) -> None:
        """Not shown: a score chooses among tuning runs."""


@on_config_device
def train_and_score(
    config: Config,
    *,
    cache: Path | CachePath,
    out: Path | StoragePath,
    report: ProgressCallback = lambda progress: None,
) -> ScoredRun:
    """Adapt a source model and score it before the first and after the last step. It cannot reach target labels.

    Args:
        cache: see `gckd.training.run.train_run`.
        out: folder of the checkpoint, from which an interrupted run resumes. The checkpoint is removed at the end.

    Raises:
        InputError: see `gckd.training.run.train_run`; or the config reads target labels.
        DivergenceError: a loss became infinite or NaN.
    """
    folder = StoragePath.at(out)
    start = score_source_model(config, cache=cache, report=report)
    *_, last = trial_evaluations(config, cache=cache, out=folder, report=report)
    if not rank():  # which writes it
        (folder / CHECKPOINT).remove()
    return ScoredRun(_scores(start.scores), _scores(last.values), last.values["seconds"])


def _scores(values: Values) -> Mapping[str, float]:
    return {name: values[name] for name in SCORES}

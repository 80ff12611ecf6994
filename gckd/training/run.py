"""One run, from a config to metrics on the target test split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gckd.config import check
from gckd.config.schema import Config
from gckd.data.dataset_pair import DatasetPair, as_progress, open_datasets
from gckd.device import on_config_device
from gckd.progress import Progress, ProgressCallback
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath
from gckd.training.adapt import prepare_adaptation
from gckd.training.load import CHECKPOINT, Student, evaluation_transform
from gckd.training.monitor import Monitor
from gckd.training.pretrain import convergence_note, source_checkpoint
from gckd.training.target_evaluation import Evaluation, evaluate_student


@on_config_device
def prepare_run(config: Config, *, cache: Path | CachePath, report: ProgressCallback = lambda progress: None) -> None:
    """Stores, vocabulary and pre-training, which all runs of the same datasets, backbone and seed share.

    Raises:
        InputError: see `train_run`.
    """
    datasets = open_datasets(check(config), cache, as_progress(report))
    source_checkpoint(config, datasets, cache, report)


@on_config_device
def train_run(
    config: Config,
    *,
    cache: Path | CachePath,
    out: Path | StoragePath,
    report: ProgressCallback = lambda progress: None,
    datasets: DatasetPair | None = None,
) -> RunResult:
    """Adapt a source-trained retriever to the target and evaluate the last step's student on target test.

    Args:
        cache: stores, vocabularies and pre-trained models, shared by all runs.
        out: folder of this run's checkpoint. An interrupted run resumes from it with identical results on the CPU, and
            with results that are equal up to rounding on a GPU (see `gckd.device`).
        datasets: of the config; opened now if None.

    Raises:
        InputError: the config, a dataset or a checkpoint cannot be used.
        DivergenceError: a loss became infinite or NaN.
    """
    adaptation = prepare_adaptation(config, cache, report, datasets)
    parts, start = adaptation.parts, adaptation.source
    monitor = Monitor(adaptation)
    stage = adaptation.stage(monitor)
    if config.adapt.steps and not (out / CHECKPOINT).exists():
        stage.record(0, monitor.source_model_values(cache))
    for _ in adaptation.evaluations(stage, out / CHECKPOINT):
        pass
    report(Progress("evaluate", 0, 1, {}, None))
    student = Student(config, adaptation.datasets, parts.student, parts.feed, evaluation_transform(parts))
    with parts.evaluated():
        evaluation = evaluate_student(student, "test")
    changes = {
        "curves": [*start["curve"], *stage.curve],
        "seconds": stage.seconds + evaluation.seconds,
        "pretrain_seconds": float(start["seconds"]),
        "notes": (*evaluation.notes, *start.get("notes", ()), convergence_note(start["curve"])),
    }
    return RunResult(**(vars(evaluation) | changes))


@dataclass(frozen=True)
class RunResult(Evaluation):
    """Result of a run: its evaluation on target test and its training curves. `seconds` include adaptation."""

    curves: list[dict[str, str | int | float]]  # rows of stage, step, name, value
    pretrain_seconds: float  # of the source model, in whichever run it was trained

    @property
    def rank_1(self) -> float:
        """Rank-1 on target test, percent."""
        return self.metrics["rank_1"]

    @property
    def source_rank_1(self) -> float | None:
        """Rank-1 on source val after the adaptation, percent; None without a source val split."""
        of_curve = [c for c in self.curves if (c["stage"], c["name"]) == ("adapt", "source_val_rank_1")]
        return float(of_curve[-1]["value"]) if of_curve else None

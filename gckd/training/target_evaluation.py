"""Retrieval metrics of a trained student on a labelled split of the target."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from gckd.config import digest
from gckd.config.schema import Config
from gckd.data.dataset_pair import DatasetPair
from gckd.device import on_config_device
from gckd.evaluation.retrieval import Ranking
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath
from gckd.training.load import Student, load_student


@dataclass(frozen=True)
class Evaluation:
    """Result on one split of the target."""

    metrics: dict[str, float]  # rank_1, rank_5, rank_10, map and minp, in percent
    ranking: Ranking  # of each query
    queries: int  # captions of the split
    gallery: int  # images of the split
    seconds: float  # wall clock
    notes: tuple[str, ...]  # remarks on data, target labels and backbone that belong beside the metrics
    config_digest: str
    source_digest: str
    target_digest: str


def evaluate_student(student: Student, split: str) -> Evaluation:
    """Evaluate on a split of the target. Only this function opens the labels of a target test split.

    Raises:
        InputError: the target has no such split.
    """
    start = time.perf_counter()
    config, datasets = student.config, student.datasets
    data = datasets.labelled(datasets.target, split, config.data)
    ranking = student.retriever().ranking(data)
    return Evaluation(
        metrics=ranking.metrics(),
        ranking=ranking,
        queries=len(data.tokens),
        gallery=len(data.images),
        seconds=time.perf_counter() - start,
        notes=(*datasets.notes(), *_label_notes(config), *student.backbone.notes()),
        config_digest=digest(config),
        source_digest=datasets.source.digest,
        target_digest=datasets.target.digest,
    )


def _label_notes(config: Config) -> tuple[str, ...]:
    """Statement that a model was trained with target labels, which must accompany its metrics."""
    if config.adapt.labels == "source":
        return ()
    return ("adapt.labels = target: a run with this setting trains on the labelled train split of the target",)


@on_config_device
def evaluate_checkpoint(
    config: Config,
    checkpoint: Path | StoragePath,
    cache: Path | CachePath,
    split: str = "test",
    datasets: DatasetPair | None = None,
) -> Evaluation:
    """Evaluate the student of a checkpoint on a split of the target.

    Args:
        datasets: of the config; opened now if None.

    Raises:
        InputError: the file is not a checkpoint of this config, or the target has no such split.
    """
    return evaluate_student(load_student(config, checkpoint, cache, datasets), split)

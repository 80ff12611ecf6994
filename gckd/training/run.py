"""One run from config to metrics: data, cached pre-training, adaptation, one reading of the test labels."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gckd.config import check, digest
from gckd.config.schema import Config
from gckd.data.batches import Feed
from gckd.data.domains import DatasetPair, as_progress, open_datasets
from gckd.device import on_its_device
from gckd.evaluation.retrieval import EmbeddingTransform, Ranking, Retriever, val_metrics
from gckd.graph.statistics import effective_rank
from gckd.method.banks import means_of, train_means, train_sample
from gckd.models.base import Backbone
from gckd.progress import Progress, Report
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath
from gckd.storage.shared_file import create_once
from gckd.training.adapt import Adaptation, begin
from gckd.training.curves import inspect
from gckd.training.label_curves import audit_monitor
from gckd.training.load import evaluation_transform, restored
from gckd.training.pretrain import flatness, pretrained
from gckd.training.trainer import Values

CHECKPOINT = "checkpoint.pt"


@on_its_device
def prepare_run(config: Config, *, cache: Path | CachePath, report: Report = lambda progress: None) -> None:
    """Everything that runs of the same datasets, backbone and seed share: stores, vocabulary, pre-training.

    Raises:
        InputError: see `train_run`.
    """
    datasets = open_datasets(check(config), cache, as_progress(report))
    pretrained(config, datasets, cache, report)


@on_its_device
def train_run(
    config: Config,
    *,
    cache: Path | CachePath,
    out: Path | StoragePath,
    report: Report = lambda progress: None,
    datasets: DatasetPair | None = None,
) -> RunResult:
    """Adapt a source-trained retriever to the target and evaluate the last step's student on target test.

    Args:
        cache: stores, vocabularies and pre-trained models, shared by all runs.
        out: folder of this run's checkpoint. An interrupted run resumes from it with identical results.
        datasets: of the config; opened now if None.

    Raises:
        InputError: the config, a dataset or a checkpoint cannot be used.
        FloatingPointError: a loss became infinite or NaN.
    """
    adaptation = begin(config, cache, report, datasets)
    datasets, parts, start = adaptation.datasets, adaptation.parts, adaptation.source
    monitor = _Monitor(adaptation)
    stage = adaptation.stage(monitor)
    if config.adapt.steps and not (out / CHECKPOINT).exists():
        stage.note(0, monitor.before(cache))
    for _ in adaptation.epochs(stage, out / CHECKPOINT):
        pass
    report(Progress("evaluate", 0, 1, {}, None))
    result = _evaluate(config, datasets, parts.student, parts.feed, evaluation_transform(parts), "test")
    return dataclasses.replace(
        result,
        curves=[*start["curve"], *stage.curve],
        seconds=stage.seconds + result.seconds,
        pretrain_seconds=float(start["seconds"]),
        notes=(*result.notes, *parts.student.notes(), flatness(start["curve"])),
    )


@on_its_device
def evaluate_checkpoint(
    config: Config,
    checkpoint: Path | StoragePath,
    cache: Path | CachePath,
    split: str = "test",
    datasets: DatasetPair | None = None,
) -> RunResult:
    """Evaluate the student of a run's checkpoint on a split of the target.

    Args:
        datasets: of the config; opened now if None.

    Raises:
        InputError: the checkpoint is not one, or does not fit the config.
    """
    return _evaluate(config, *restored(config, checkpoint, cache, datasets), split)


class _Monitor:
    """What the curves show. It reads the labels of both val splits: nothing that trains or selects sees what it finds.

    `target_rank_me`: effective rank of the student's embeddings of the target, not centred, which would enlarge what a
    collapse leaves; the smaller of both modalities.
    """

    def __init__(self, adaptation: Adaptation) -> None:
        self.adaptation, config, datasets = adaptation, adaptation.config, adaptation.datasets
        there = config.adapt.source == "samples"  # source-free, its val split is not opened either
        self.source_val = datasets.labelled(datasets.source, "val", config.data) if there else None
        self.target_val = datasets.labelled(datasets.target, "val", config.data)
        self.audit: Callable[[], Values] = dict
        if config.evaluate.audit:
            self.audit = audit_monitor(datasets, adaptation.parts)

    def __call__(self, done: int) -> Values:
        parts, config = self.adaptation.parts, self.adaptation.config
        values: Values = {}
        if self.source_val is not None:
            means = train_means(parts.student, parts.feed.source, config.centre)
            values |= val_metrics("source_val", parts.student, means, config.evaluate, self.source_val)
        values |= self._on_target("", parts.student) | self._on_target("teacher_", parts.teacher.model())
        return values | inspect(parts) | self.audit()

    def before(self, cache: Path | CachePath) -> Values:
        """What is known of the source model on the target; found once for all rows of a seed, others wait."""
        adaptation, config = self.adaptation, self.adaptation.config
        depends = (config.tokenizer, config.centre, config.device, config.evaluate, adaptation.datasets.target.digest)
        kept = CachePath.at(cache) / "source-model" / f"{digest(str(adaptation.source['digest']), *depends)}.json"
        file = create_once(kept, lambda: self._on_target("", adaptation.parts.student), _save_json)
        known: Values = json.loads(file.read_text(encoding="utf-8"))
        return known

    def _on_target(self, whose: str, model: Backbone) -> Values:
        config = self.adaptation.config
        sample = train_sample(model, self.adaptation.parts.feed.target)
        means = means_of(sample, config.centre)
        found = val_metrics(f"{whose}target_val", model, means, config.evaluate, self.target_val)
        rank_me = min(effective_rank(embeddings) for embeddings in sample)
        return found if whose else found | {"target_rank_me": rank_me}


def _save_json(path: Path, values: Values) -> None:
    with StoragePath.at(path).writing() as file:
        file.write_text(json.dumps(values), encoding="utf-8")


def _evaluate(
    config: Config, datasets: DatasetPair, student: Backbone, feed: Feed, transform: EmbeddingTransform, split: str
) -> RunResult:
    """The only place that opens the labels of a target test split."""
    begun = time.perf_counter()
    data = datasets.labelled(datasets.target, split, config.data)
    means = train_means(student, feed.target, config.centre)
    ranking = Retriever(student, config.evaluate, means, transform).ranking(data)
    return RunResult(
        metrics=ranking.metrics(),
        curves=[],
        seconds=time.perf_counter() - begun,
        pretrain_seconds=0.0,
        notes=datasets.notes(),
        config_digest=digest(config),
        source_digest=datasets.source.digest,
        target_digest=datasets.target.digest,
        queries=len(data.tokens),
        gallery=len(data.images),
        ranking=ranking,
    )


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

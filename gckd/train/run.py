"""One run from config to metrics: data, cached pre-training, adaptation, one reading of the test labels."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gckd.config import check, digest
from gckd.config.schema import Config
from gckd.errors import InputError
from gckd.model.backbone import Backbone
from gckd.place import Place
from gckd.train.adaptation import begin
from gckd.train.banks import train_means
from gckd.train.data import Datasets, open_datasets
from gckd.train.device import on_its_device
from gckd.train.evaluate import Join, Retriever, as_they_are, val_metrics
from gckd.train.feed import Feed
from gckd.train.inductive import joined
from gckd.train.inspect import inspect
from gckd.train.loop import load_checkpoint
from gckd.train.parts import Parts, build_model, build_parts
from gckd.train.pretrain import flatness, pretrained
from gckd.train.progress import Progress, Report, RunResult

CHECKPOINT = "checkpoint.pt"


@on_its_device
def prepare(config: Config, *, cache: Path, report: Report = lambda progress: None) -> None:
    """Everything that runs of the same datasets, backbone and seed share: stores, vocabulary, pre-training.

    Raises:
        InputError: see `run`.
    """
    datasets = open_datasets(check(config), cache, report)
    pretrained(config, datasets, cache, report)


@on_its_device
def run(config: Config, *, cache: Path, out: Path, report: Report = lambda progress: None) -> RunResult:
    """Adapt a source-trained retriever to the target and evaluate the last step's student on target test.

    Args:
        cache: stores, vocabularies and pre-trained models, shared by all runs.
        out: this run's checkpoint; a run that was interrupted goes on from it, bit for bit.

    Raises:
        InputError: the config, a dataset or a checkpoint cannot be used.
        FloatingPointError: a loss became infinite or NaN.
    """
    adaptation = begin(config, cache, report)
    datasets, parts, start = adaptation.datasets, adaptation.parts, adaptation.source
    stage = adaptation.stage(_labelled_monitor(config, datasets, parts))
    for _ in adaptation.epochs(stage, out / CHECKPOINT):
        pass
    report(Progress("evaluate", 0, 1, {}, None))
    result = _evaluate(config, datasets, parts.student, parts.feed, "test", joined(parts))
    return dataclasses.replace(
        result,
        curves=[*start["curve"], *stage.curve],
        seconds=stage.seconds + result.seconds,
        pretrain_seconds=float(start["seconds"]),
        notes=(*result.notes, *parts.student.notes(), flatness(start["curve"])),
    )


@on_its_device
def evaluate_checkpoint(config: Config, checkpoint: Path | Place, cache: Path, split: str = "test") -> RunResult:
    """Evaluate the student of a run's checkpoint on a split of the target.

    Raises:
        InputError: the checkpoint is not one, or does not fit the config.
    """
    datasets = open_datasets(check(config), cache, lambda progress: None)
    feed = datasets.feed(config, config.adapt.batch)
    student = build_model(config, datasets.tokenizer.vocabulary)
    modules = load_checkpoint(checkpoint)["modules"]
    try:
        student.load_state_dict(modules["student"])
        join = _restored(build_parts(config, feed, student), modules) if config.evaluate.propagate else as_they_are
    except (KeyError, RuntimeError) as error:
        raise InputError(f"{checkpoint}: does not hold the student of this config ({error})") from error
    return _evaluate(config, datasets, student, feed, split, join)


def _restored(parts: Parts, modules: Mapping[str, Any]) -> Join:
    """The graph of a checkpoint, over its banks."""
    parts.banks.load_state_dict(modules["banks"])
    parts.propagate.load_state_dict(modules["propagate"])
    return joined(parts)


def _labelled_monitor(config: Config, datasets: Datasets, parts: Parts) -> Callable[[int], dict[str, float]]:
    there = config.adapt.source == "samples"  # source-free, its val split is not opened either
    source_val = datasets.labelled(datasets.source, "val", config.data) if there else None
    # Read for the curves alone: nothing that trains or selects sees what the monitor returns.
    target_val = datasets.labelled(datasets.target, "val", config.data)

    def monitor(done: int) -> dict[str, float]:
        values: dict[str, float] = {}
        if source_val is not None:
            source_means = train_means(parts.student, parts.feed.source, config.centre)
            values |= val_metrics("source_val", parts.student, source_means, config.evaluate, source_val)
        for name, model in (("target_val", parts.student), ("teacher_target_val", parts.teacher.model())):
            means = train_means(model, parts.feed.target, config.centre)
            values |= val_metrics(name, model, means, config.evaluate, target_val)
        return values | inspect(parts)

    return monitor


def _evaluate(config: Config, datasets: Datasets, student: Backbone, feed: Feed, split: str, join: Join) -> RunResult:
    """The only place that opens a target test split."""
    begun = time.perf_counter()
    data = datasets.labelled(datasets.target, split, config.data)
    means = train_means(student, feed.target, config.centre)
    ranking = Retriever(student, config.evaluate, means, join).ranking(data)
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

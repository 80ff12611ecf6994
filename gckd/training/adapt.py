"""Stage 3, adaptation: the source model, the parts of the method around it, and the stage that trains them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from gckd.config import check, digest
from gckd.config.schema import Config
from gckd.data.dataset_pair import DatasetPair, as_progress, open_datasets
from gckd.distributed import check_batch_size
from gckd.method.build import build_parts, build_step
from gckd.method.parts import Parts
from gckd.method.source_free import SourceSummary, summarise_source
from gckd.method.step import SourceOnly
from gckd.method.unseen_words import mask_unseen_words
from gckd.method.warm_start import WarmStart
from gckd.models.base import Backbone
from gckd.models.build import build_model
from gckd.progress import Progress, ProgressCallback
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath
from gckd.training.checkpoint_data import checkpoint_data
from gckd.training.optimizer import freeze_untrained
from gckd.training.pretrain import source_checkpoint
from gckd.training.trainer import Stage, Values


@dataclass
class Adaptation:
    """An adaptation that is ready to start. `source` is the checkpoint of its source model."""

    config: Config
    datasets: DatasetPair
    parts: Parts
    step: SourceOnly
    source: dict[str, Any]
    warm_start: WarmStart
    report: ProgressCallback

    def stage(self, monitor: Callable[[int], Values]) -> Stage:
        """The stage of training; `monitor` as in `Stage`."""
        source_digest = str(self.source["digest"])
        return Stage(
            name="adapt",
            digest=digest(self.config, source_digest, self.datasets.source.digest, self.datasets.target.digest),
            seed=self.config.seed,
            schedule=self.config.adapt,
            modules=self.parts.stateful(),
            terms=self.step.terms,
            prefetching=self.parts.feed.prefetching,
            weights={name: float(value) for name, value in dataclasses.asdict(self.config.weights).items()},
            after_step=lambda: self.parts.teacher.update(self.parts.student),
            rounds=self.config.adapt.rounds,
            stop_after=self.config.adapt.stop_after,
            before_round=self._start_round,
            monitor=monitor,
            data=checkpoint_data(self.datasets),
            checkpoint_minutes=self.config.checkpoint_minutes,
            report=self.report,
        )

    def evaluations(self, stage: Stage, checkpoint: Path | StoragePath) -> Iterator[tuple[int, Values]]:
        """Fill the banks (warm start), unless there is a checkpoint, then train as `Stage.evaluations`."""
        if self.fills_banks and not checkpoint.exists():
            start = time.perf_counter()
            self.report(Progress("warm-start", 0, 1, {}, None))
            self.step.warm_start(self.warm_start)
            stage.seconds = time.perf_counter() - start
        yield from stage.evaluations(checkpoint)

    @property
    def fills_banks(self) -> bool:
        """Whether there is a warm start. Without adaptation, only propagation at test time reads the banks."""
        config = self.config
        return config.graph.memory.warm_start and bool(config.adapt.steps or config.evaluate.propagate)

    def _start_round(self) -> None:
        """Start the adaptation again from the current student: as the teacher, and by its embeddings in the banks."""
        self.parts.teacher.model().load_state_dict(self.parts.student.state_dict())
        self.parts.banks.clear()
        if self.config.graph.memory.warm_start:
            self.step.warm_start(WarmStart())  # without a cache: its embeddings are those of the source model


def prepare_adaptation(
    config: Config, cache: Path | CachePath, report: ProgressCallback, datasets: DatasetPair | None = None
) -> Adaptation:
    """Open the datasets, get the source model (trained now unless it is cached) and build the parts of the method.

    Args:
        datasets: of the config; opened now if None.

    Raises:
        InputError: the config or a dataset cannot be used.
        DivergenceError: a loss of pre-training became infinite or NaN.
    """
    datasets = datasets or open_datasets(check(config), cache, as_progress(report))
    check_batch_size("adapt.batch", config.adapt.batch)
    source = source_checkpoint(config, datasets, cache, report)
    student = build_model(config, datasets.tokenizer.vocabulary)
    student.load_state_dict(source["modules"]["model"])
    cached_summary = CachePath.at(cache) / "handed" / f"{digest(str(source['digest']), config.device)}.pt"
    summary = _source_summary(config, datasets, student, cached_summary)
    feed = datasets.feed(config, config.adapt.batch, source=summary)
    mask_unseen_words(config.tokenizer, student, feed)
    if config.adapt.labels == "target":
        # After the masking, so that every row starts from the same student.
        feed = dataclasses.replace(feed, source=datasets.target_with_labels(config))
    freeze_untrained(student, config.adapt.parameters)
    parts = build_parts(config, feed, student)
    _initialise_teacher(parts, source)
    warm_start = WarmStart(CachePath.at(cache) / "warm" / _warm_start_digest(config, datasets, str(source["digest"])))
    return Adaptation(config, datasets, parts, build_step(parts), source, warm_start, report)


def _source_summary(config: Config, datasets: DatasetPair, model: Backbone, cached: CachePath) -> SourceSummary | None:
    """Summary that replaces the source samples in source-free adaptation; None if samples are used."""
    if config.adapt.source == "samples":
        return None
    return summarise_source(
        config.adapt.source, model, lambda: datasets.source_loader(config, config.adapt.batch), cached
    )


def _warm_start_digest(config: Config, datasets: DatasetPair, source: str) -> str:
    """Digest of everything that the teacher's first embeddings depend on; C is not part of it."""
    start = "momentum" if config.distill.teacher.starts_from_momentum else "student"
    labelled = {"source": datasets.source, "target": datasets.target}[config.adapt.labels]
    return digest(source, start, config.tokenizer, config.device, labelled.digest, datasets.target.digest)


def _initialise_teacher(parts: Parts, source: dict[str, Any]) -> None:
    """Load the momentum model of pre-training into the teacher, if the config says so; else it equals the student."""
    if parts.config.distill.teacher.starts_from_momentum:
        assert isinstance(parts.teacher, nn.Module)
        parts.teacher.load_state_dict(source["modules"]["momentum"])
        mask_unseen_words(parts.config.tokenizer, parts.teacher.model(), parts.feed)

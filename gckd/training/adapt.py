"""Stage 3 from its beginning: a source-trained student, the method's parts around it, and the stage that adapts it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gckd.config import check, digest
from gckd.config.schema import Config
from gckd.data.dataset_pair import DatasetPair, as_progress, open_datasets
from gckd.distributed import check_batch_size
from gckd.method.build import build_parts, build_step
from gckd.method.parts import Parts
from gckd.method.source_free import SourceSummary, summarise_source
from gckd.method.step import SourceOnly
from gckd.method.teacher import EmaTeacher
from gckd.method.unseen_words import mask_unseen_words
from gckd.method.warm_start import WarmStart
from gckd.models.base import Backbone
from gckd.models.build import build_model
from gckd.progress import Progress, ProgressCallback
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath
from gckd.training.optimizer import keep_trainable
from gckd.training.pretrain import pretrained
from gckd.training.trainer import Stage, Values


@dataclass
class Adaptation:
    """One adaptation, ready to start. `source` is the checkpoint of its pre-training."""

    config: Config
    datasets: DatasetPair
    parts: Parts
    step: SourceOnly
    source: dict[str, Any]
    warm: WarmStart
    report: ProgressCallback

    def stage(self, monitor: Any) -> Stage:
        """The stage; `monitor` as `Stage`'s."""
        start, both = str(self.source["digest"]), self.datasets
        return Stage(
            name="adapt",
            digest=digest(self.config, start, both.source.digest, both.target.digest),
            seed=self.config.seed,
            schedule=self.config.adapt,
            modules=self.parts.stateful(),
            terms=self.step.terms,
            weights={name: float(value) for name, value in dataclasses.asdict(self.config.weights).items()},
            after=lambda: self.parts.teacher.update(self.parts.student),
            monitor=monitor,
            report=self.report,
        )

    def epochs(self, stage: Stage, checkpoint: Path | StoragePath) -> Iterator[tuple[int, Values]]:
        """Warm-starts the banks if nothing is saved yet, then adapts, as `Stage.epochs`."""
        if self.config.graph.memory.warm_start and not checkpoint.exists():
            begun = time.perf_counter()
            self.report(Progress("warm-start", 0, 1, {}, None))
            self.step.warm_start(self.warm)
            stage.seconds = time.perf_counter() - begun
        yield from stage.epochs(checkpoint)


def begin(
    config: Config, cache: Path | CachePath, report: ProgressCallback, datasets: DatasetPair | None = None
) -> Adaptation:
    """Datasets, source pre-training (or its cached result), and everything that the config names.

    Args:
        datasets: of the config; opened now if None.

    Raises:
        InputError: the config or a dataset cannot be used.
    """
    datasets = datasets or open_datasets(check(config), cache, as_progress(report))
    check_batch_size("adapt.batch", config.adapt.batch)
    source = pretrained(config, datasets, cache, report)
    student = build_model(config, datasets.tokenizer.vocabulary)
    student.load_state_dict(source["modules"]["model"])
    kept = CachePath.at(cache) / "handed" / f"{digest(str(source['digest']), config.device)}.pt"
    feed = datasets.feed(config, config.adapt.batch, source=_without_samples(config, datasets, student, kept))
    mask_unseen_words(config.tokenizer, student, feed)
    keep_trainable(student, config.adapt.parameters)
    parts = build_parts(config, feed, student)
    _start_teacher(parts, source)
    warm = WarmStart(CachePath.at(cache) / "warm" / _warm_digest(config, datasets, str(source["digest"])))
    return Adaptation(config, datasets, parts, build_step(parts), source, warm, report)


def _without_samples(config: Config, datasets: DatasetPair, model: Backbone, kept: CachePath) -> SourceSummary | None:
    if config.adapt.source == "samples":
        return None
    return summarise_source(
        config.adapt.source, model, lambda: datasets.source_loader(config, config.adapt.batch), kept
    )


def _warm_digest(config: Config, datasets: DatasetPair, source: str) -> str:
    """Names all that a teacher's first embeddings depend on, C apart."""
    start = "momentum" if config.distill.teacher.starts_from_momentum else "student"
    return digest(source, start, config.tokenizer, config.device, datasets.source.digest, datasets.target.digest)


def _start_teacher(parts: Parts, source: dict[str, Any]) -> None:
    """The teacher begins as the student, or as the momentum model of the student's pre-training."""
    if parts.config.distill.teacher.starts_from_momentum:
        assert isinstance(parts.teacher, EmaTeacher)
        parts.teacher.load_state_dict(source["modules"]["momentum"])
        mask_unseen_words(parts.config.tokenizer, parts.teacher.model(), parts.feed)

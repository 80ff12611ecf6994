"""Training stages around fresh weights, whose steps cost as much as those of a run."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from gckd.graph.memory import MemoryBank
from gckd.method.build import build_parts, build_step
from gckd.models.build import build_model, initial_models
from gckd.training.pretrain import build_objective
from gckd.training.trainer import Stage

if TYPE_CHECKING:
    from pathlib import Path

    from gckd.config import Config
    from gckd.data.dataset_pair import DatasetPair
    from gckd.data.types import Vocabulary
    from gckd.estimate.kernel_counter import KernelCounter
    from gckd.method.parts import Parts
    from gckd.method.step import SourceOnly
    from gckd.progress import Progress


def pretraining(config: Config, datasets: DatasetPair, vocabulary: Vocabulary | None = None) -> Stage:
    """Source pre-training from fresh weights. `vocabulary`: that of the datasets by default."""
    feed = datasets.feed(config, config.pretrain.batch, config.pretrain.per_identity)
    model, copies = initial_models(config, vocabulary or datasets.tokenizer.vocabulary)
    objective = build_objective(config, feed, model, copies)
    modules, weights = {"model": model, **objective.modules()}, weights_of(config)
    stage = Stage("pretrain", "", 0, config.pretrain, modules, objective.terms, weights, lambda done: {})
    return dataclasses.replace(stage, prefetching=feed.prefetching)


def adaptation(
    config: Config, datasets: DatasetPair, vocabulary: Vocabulary | None = None, without_mlm: bool = False
) -> tuple[Stage, Parts, SourceOnly]:
    """Adaptation of a fresh backbone, with full banks of random unit vectors even if the dataset has fewer examples."""
    model = build_model(config, vocabulary or datasets.tokenizer.vocabulary)
    model.has_mlm_head = model.has_mlm_head and not without_mlm
    parts = build_parts(config, datasets.feed(config, config.adapt.batch), model)
    of_source, of_target = config.graph.memory.capacities(config.adapt.batch)
    for name, bank in list(parts.banks.named_children()):
        capacity, examples = of_source if name.startswith("source") else of_target, len(bank.rows)  # type: ignore[arg-type]
        setattr(parts.banks, name, _full_bank(capacity, model.embed_dim, examples))
    step = build_step(parts)
    return stage_of(parts, step), parts, step


def _full_bank(capacity: int, width: int, examples: int) -> MemoryBank:
    bank = MemoryBank(capacity, width)
    bank.embeddings.copy_(F.normalize(torch.randn(capacity, width), dim=1))
    bank.rows.copy_(torch.arange(capacity) % examples)
    bank.identities.copy_(torch.arange(capacity) % examples)
    bank.count.fill_(capacity)
    return bank


def stage_of(parts: Parts, step: SourceOnly) -> Stage:
    """Adaptation stage of these parts, from their current state."""
    return Stage(
        name="adapt",
        digest="",
        seed=0,
        schedule=parts.config.adapt,
        modules=parts.stateful(),
        terms=step.terms,
        prefetching=parts.feed.prefetching,
        weights=weights_of(parts.config),
        monitor=lambda done: {},
        after_step=lambda: parts.teacher.update(parts.student),
    )


def weights_of(config: Config) -> dict[str, float]:
    """Weight of each loss term."""
    return {name: float(value) for name, value in dataclasses.asdict(config.weights).items()}


class _CountedError(Exception):
    """The counted step is done."""


def count_third_step(stage: Stage, counter: KernelCounter, checkpoint: Path) -> None:
    """Count the third step of a stage; the first two allocate the state of the optimiser."""

    def report(progress: Progress) -> None:
        if progress.step == 2:
            counter.clear()
        if progress.step == 3:
            raise _CountedError

    long = dataclasses.replace(stage.schedule, steps=1000, evaluations=1)  # type: ignore[type-var]
    with contextlib.suppress(_CountedError):
        dataclasses.replace(stage, schedule=long, report=report).run(checkpoint)

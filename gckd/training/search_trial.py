"""Adaptation as a search sees it: an epoch at a time, by label-free scores. No label of the target is in reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gckd.config.schema import Config
from gckd.data.dataset_pair import shared_datasets
from gckd.evaluation.retrieval import Retriever, val_metrics
from gckd.graph.memory import centred
from gckd.method.banks import train_means
from gckd.progress import ProgressCallback
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath
from gckd.training.adapt import Adaptation, prepare_adaptation
from gckd.training.curves import inspect
from gckd.training.load import CHECKPOINT
from gckd.training.trainer import Values

SAMPLE = 2048  # images and captions of target val that are looked at; rows lie in an order that says nothing


class Look(NamedTuple):
    """Unlabelled target val data as the student embeds it; which caption describes which image is unknown.

    images, texts: [N, d] and [M, d], unit. centred_images, centred_texts: in the space that evaluation ranks in.
    """

    images: Tensor
    texts: Tensor
    centred_images: Tensor
    centred_texts: Tensor


# What a look is centred by, from so many train examples: all trials by the same, and a mean of them is near enough.
MEANS = 256
Score = Callable[[Look], dict[str, float]]


class SourceModel(NamedTuple):
    """What all trials of a seed start from: scores before adaptation, and the seconds that they need not spend."""

    scores: Values
    pretrain_seconds: float
    warm_seconds: float


def source_model(config: Config, *, cache: Path | CachePath, score: Score, report: ProgressCallback) -> SourceModel:
    """Trains the source model and fills the banks, unless the cache has them, and scores it.

    Raises:
        InputError: see `gckd.training.run.train_run`.
    """
    adaptation = _begin(config, cache, report)
    if config.graph.memory.warm_start:
        adaptation.step.warm_start(adaptation.warm_start)
    return SourceModel(_scorer(adaptation, score)(), float(adaptation.source["seconds"]), adaptation.warm_start.seconds)


class Epoch(NamedTuple):
    """What an evaluation found: scores, loss terms and `seconds` so far; `current`: the checkpoint is of this epoch."""

    values: Values
    current: bool


def epochs(
    config: Config, *, cache: Path | CachePath, out: StoragePath, score: Score, report: ProgressCallback
) -> Iterator[Epoch]:
    """Adapts, stopping after each evaluation, once its checkpoint is saved.

    Evaluations that an interrupted run has done are told again first. Runs on the default device of its caller.

    Args:
        score: of a look at the target, by name; beside them stand `source_val_rank_1` and `source_val_map`.

    Raises:
        InputError: see `gckd.training.run.train_run`.
        FloatingPointError: a loss became infinite or NaN.
    """
    adaptation = _begin(config, cache, report)
    scores = _scorer(adaptation, score)

    def monitor(done: int) -> Values:
        return scores() | inspect(adaptation.parts) | {"seconds": stage.elapsed()}

    stage = adaptation.stage(monitor)
    for step, values in adaptation.evaluations(stage, out / CHECKPOINT):
        yield Epoch(values, current=step == stage.saved_step)


def _begin(config: Config, cache: Path | CachePath, report: ProgressCallback) -> Adaptation:
    return prepare_adaptation(config, cache, report, shared_datasets(config, cache))


def _scorer(adaptation: Adaptation, score: Score) -> Callable[[], dict[str, float]]:
    """Scores the student as it is; what it is shown is made ready once."""
    config, datasets, parts = adaptation.config, adaptation.datasets, adaptation.parts
    labelled = datasets.labelled(datasets.source, "val", config.data)
    split = datasets.target.unlabelled("val")
    pixels = torch.from_numpy(split.images.decoded(config.data.height, config.data.width)[:SAMPLE])
    tokens = parts.feed.tokenizer.encode(split.captions[:SAMPLE]).to(torch.get_default_device())

    def scores() -> dict[str, float]:
        means = train_means(parts.student, parts.feed.source, config.centre, MEANS)
        found = val_metrics("source_val", parts.student, means, config.evaluate, labelled)
        return found | score(_look(adaptation, pixels, tokens))

    return scores


@torch.no_grad()
def _look(adaptation: Adaptation, pixels: Tensor, tokens: Tensor) -> Look:
    config, parts = adaptation.config, adaptation.parts
    student, training = parts.student, parts.student.training
    zero = torch.zeros(student.embed_dim)
    retriever = Retriever(student.eval(), config.evaluate, (zero, zero))
    images, texts = retriever.embed_images(pixels), retriever.embed_captions(tokens)
    student.train(training)
    means = train_means(student, parts.feed.target, config.centre, MEANS)
    return Look(images, texts, centred(images, means[0]), centred(texts, means[1]))

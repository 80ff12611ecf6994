"""Adaptation in a search trial: evaluation by evaluation, with label-free scores. It cannot reach target labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gckd.config.schema import Config
from gckd.config.stages import NO_SEARCH_BY_LABELS
from gckd.data.dataset_pair import shared_datasets
from gckd.errors import InputError
from gckd.evaluation.retrieval import Retriever, val_metrics
from gckd.graph.memory import centred
from gckd.method.banks import train_means
from gckd.progress import ProgressCallback
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath
from gckd.training.adapt import Adaptation, prepare_adaptation
from gckd.training.curves import method_statistics
from gckd.training.load import CHECKPOINT
from gckd.training.trainer import Values
from gckd.validators import UnlabelledEmbeddings, label_free_scores

SAMPLE = 2048  # images and captions of target val that are scored; their order in the store carries no information
MEAN_SAMPLE = 256  # train examples whose mean centres the embeddings: the same for all trials, and accurate enough


class SourceModelScores(NamedTuple):
    """Source model of a seed: its scores, and the seconds that all trials share."""

    scores: Values
    pretrain_seconds: float
    warm_seconds: float


class TrialEvaluation(NamedTuple):
    """One evaluation of a trial."""

    values: Values  # scores, loss terms, statistics of the graph, and `seconds` so far
    has_checkpoint: bool  # whether the checkpoint is of this evaluation; not if it was replayed after an interruption


def score_source_model(config: Config, *, cache: Path | CachePath, report: ProgressCallback) -> SourceModelScores:
    """Train the source model and fill the banks, unless the cache has both, and compute the scores.

    Raises:
        InputError: see `gckd.training.run.train_run`.
    """
    adaptation = _prepare(config, cache, report)
    if config.graph.memory.warm_start:
        adaptation.step.warm_start(adaptation.warm_start)
    scores = _scorer(adaptation)()
    return SourceModelScores(scores, float(adaptation.source["seconds"]), adaptation.warm_start.seconds)


def trial_evaluations(
    config: Config, *, cache: Path | CachePath, out: StoragePath, report: ProgressCallback
) -> Iterator[TrialEvaluation]:
    """Adapt, pausing after each evaluation once its checkpoint is saved. Runs on the caller's default device.

    A resumed trial first yields the evaluations from before the interruption again.

    Raises:
        InputError: see `gckd.training.run.train_run`.
        DivergenceError: a loss became infinite or NaN.
    """
    adaptation = _prepare(config, cache, report)
    scores = _scorer(adaptation)

    def monitor(step: int) -> Values:
        return scores() | method_statistics(adaptation.parts) | {"seconds": stage.elapsed()}

    stage = adaptation.stage(monitor)
    for step, values in adaptation.evaluations(stage, out / CHECKPOINT):
        yield TrialEvaluation(values, has_checkpoint=step == stage.saved_step)


def _prepare(config: Config, cache: Path | CachePath, report: ProgressCallback) -> Adaptation:
    if config.adapt.labels == "target":
        raise InputError(NO_SEARCH_BY_LABELS)
    return prepare_adaptation(config, cache, report, shared_datasets(config, cache))


def _scorer(adaptation: Adaptation) -> Callable[[], Values]:
    """Function that scores the student in its current state, with the data loaded once."""
    config, datasets, parts = adaptation.config, adaptation.datasets, adaptation.parts
    source_val = datasets.labelled(datasets.source, "val", config.data)
    target_val = datasets.target.unlabelled("val")
    pixels = torch.from_numpy(target_val.images.decoded(config.data.height, config.data.width)[:SAMPLE])
    tokens = parts.feed.tokenizer.encode(target_val.captions[:SAMPLE]).to(torch.get_default_device())

    def scores() -> Values:
        with parts.evaluated():
            means = train_means(parts.student, parts.feed.source, config.centre, MEAN_SAMPLE)
            values = val_metrics("source_val", parts.student, means, config.evaluate, source_val)
            return values | _label_free_scores(adaptation, pixels, tokens)

    return scores


@torch.no_grad()
def _label_free_scores(adaptation: Adaptation, pixels: Tensor, tokens: Tensor) -> Values:
    config, parts = adaptation.config, adaptation.parts
    student, training = parts.student, parts.student.training
    zero = torch.zeros(student.embed_dim)
    retriever = Retriever(student.eval(), config.evaluate, (zero, zero))
    images, texts = retriever.embed_images(pixels), retriever.embed_captions(tokens)
    student.train(training)
    image_mean, text_mean = train_means(student, parts.feed.target, config.centre, MEAN_SAMPLE)
    return label_free_scores(
        UnlabelledEmbeddings(images, texts),
        centred=UnlabelledEmbeddings(centred(images, image_mean), centred(texts, text_mean)),
    )

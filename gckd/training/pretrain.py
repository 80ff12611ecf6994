"""Stage 1: source pre-training, once for all runs with the same digest."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from gckd.config import digest
from gckd.config.schema import Config
from gckd.data.batches import Feed
from gckd.data.dataset_pair import DatasetPair
from gckd.distributed import barrier, broadcast_bool, check_batch_size
from gckd.evaluation.retrieval import val_metrics
from gckd.method.banks import train_means
from gckd.models.base import Backbone
from gckd.models.build import initial_models
from gckd.models.weights import weights_digest
from gckd.progress import ProgressCallback
from gckd.storage.cache import CachePath
from gckd.storage.checkpoint import STAGE_FIELDS, load_checkpoint
from gckd.storage.path import StoragePath
from gckd.storage.shared_file import exclusive, usable
from gckd.training import albef_objective, cross_batch_objective  # noqa: F401 (they register their objectives)
from gckd.training.load import CHECKPOINT
from gckd.training.objectives import OBJECTIVES, Objective
from gckd.training.trainer import CurveRow, Stage

TERMS = ("source_contrastive", "source_intra", "source_matching", "source_mlm")


def pretrain_digest(config: Config, datasets: DatasetPair) -> str:
    """Digest of everything that pre-training depends on. K, delta, C, m and the adaptation are not part of it."""
    backbone = dataclasses.replace(config.backbone, weights=weights_digest(config.backbone.weights))
    shared = [backbone, config.augment, config.pretrain, config.seed, config.centre]
    sizes = [config.data.height, config.data.width, config.data.max_tokens]
    weights = [getattr(config.weights, name) for name in TERMS]
    return digest(*shared, *sizes, *weights, datasets.source.digest, datasets.tokenizer.digest)


def source_checkpoint(
    config: Config, datasets: DatasetPair, cache: Path | CachePath, report: ProgressCallback
) -> dict[str, Any]:
    """Final checkpoint of pre-training, from the cache or trained now. Another process that needs it waits.

    Returns:
        `modules["model"]` is the state of the source model, `curve` its curves, `seconds` its training time, `notes`
        the report on the pretrained weights.

    Raises:
        InputError: a batch has fewer rows than workers, or the weights do not fit the backbone.
        DivergenceError: a loss became infinite or NaN.
    """
    name = pretrain_digest(config, datasets)
    cached = _cached_checkpoint(cache, name)
    check_batch_size("pretrain.batch", config.pretrain.batch)
    with exclusive(cached.local_path):
        # A loop, because another machine that trains the same may overwrite the final checkpoint by an earlier one.
        while not broadcast_bool(_is_complete(cached, config)):
            _train(config, datasets, name, cached.shared_path, report)
        barrier()
        checkpoint: dict[str, Any] = load_checkpoint(cached.local_path)
        barrier()
    return checkpoint


def is_pretrained(config: Config, datasets: DatasetPair, cache: Path | CachePath) -> bool:
    """Whether the cache holds the source model of a config."""
    return _is_complete(_cached_checkpoint(cache, pretrain_digest(config, datasets)), config)


def build_objective(config: Config, feed: Feed, model: Backbone, momentum_start: Backbone) -> Objective:
    """Objective of a config. `momentum_start`: the model that a momentum model starts from."""
    return OBJECTIVES.build(config.pretrain.objective, config, feed, model, momentum_start)


def _cached_checkpoint(cache: Path | CachePath, name: str) -> CachePath:
    return CachePath.at(cache) / "pretrain" / name / CHECKPOINT


def _is_complete(cached: CachePath, config: Config) -> bool:
    """Whether the final checkpoint is on this machine or can be downloaded; downloads it."""

    def is_local() -> bool:
        path = cached.local_path
        content = usable(path, lambda file: load_checkpoint(file, STAGE_FIELDS))
        return content is not None and bool(content["step"] == config.pretrain.steps)

    return is_local() or (cached.download() and is_local())


def _train(config: Config, datasets: DatasetPair, name: str, checkpoint: StoragePath, report: ProgressCallback) -> None:
    feed = datasets.feed(config, config.pretrain.batch, config.pretrain.per_identity)
    model, momentum_start = initial_models(config, datasets.tokenizer.vocabulary)
    objective = build_objective(config, feed, model, momentum_start)
    val = datasets.labelled(datasets.source, "val", config.data)

    def monitor(step: int) -> dict[str, float]:
        return val_metrics("source_val", model, train_means(model, feed.source, config.centre), config.evaluate, val)

    Stage(
        name="pretrain",
        digest=name,
        seed=config.seed,
        schedule=config.pretrain,
        modules={"model": model, **objective.modules()},
        terms=objective.terms,
        prefetching=feed.prefetching,
        weights={name: float(value) for name, value in dataclasses.asdict(config.weights).items()},
        monitor=monitor,
        checkpoint_minutes=config.checkpoint_minutes,
        report=report,
        notes=model.load_notes,
    ).run(checkpoint)


def convergence_note(curve: list[CurveRow]) -> str:
    """Source val Rank-1 over pre-training as a sentence: a table shows by it whether pre-training had converged."""
    values = [f"{float(row['value']):.1f}" for row in curve if row["name"] == "source_val_rank_1"]
    return "source val Rank-1 over pre-training (evenly spread): " + ", ".join(values)

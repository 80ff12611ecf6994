"""Stage 1: source pre-training, once for every run that shares its digest."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from gckd.config import digest
from gckd.config.schema import Config
from gckd.config.stages import CrossBatchMemory, MomentumDistillation
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
from gckd.storage.checkpoint import load_checkpoint
from gckd.storage.path import StoragePath
from gckd.storage.shared_file import exclusive
from gckd.training.albef_objective import Momentum
from gckd.training.objectives import CrossBatch, Objective
from gckd.training.trainer import Point, Stage

TERMS = ("source_contrastive", "source_intra", "source_matching", "source_mlm")


def pretrain_digest(config: Config, datasets: DatasetPair) -> str:
    """Names all that source pre-training depends on: neither K, delta, C nor m, nor anything of the adaptation."""
    backbone = dataclasses.replace(config.backbone, weights=weights_digest(config.backbone.weights))
    shared = [backbone, config.augment, config.pretrain, config.seed, config.centre]
    sizes = [config.data.height, config.data.width, config.data.max_tokens]
    weights = [getattr(config.weights, name) for name in TERMS]
    return digest(*shared, *sizes, *weights, datasets.source.digest, datasets.tokenizer.digest)


def pretrained(
    config: Config, datasets: DatasetPair, cache: Path | CachePath, report: ProgressCallback
) -> dict[str, Any]:
    """The source-trained checkpoint of a config, trained now unless the cache has it; a second process waits.

    Returns:
        The final checkpoint: `modules["model"]` (state dict), `curve`, `seconds`.
    """
    name = pretrain_digest(config, datasets)
    kept = _checkpoint(cache, name)
    check_batch_size("pretrain.batch", config.pretrain.batch)
    with exclusive(kept.local_path):
        # Again where another machine, which trains the same, has overwritten the last checkpoint by an earlier one.
        while not broadcast_bool(_complete(kept, config)):
            _train(config, datasets, name, kept.shared_path, report)
        barrier()
        found: dict[str, Any] = load_checkpoint(kept.local_path)
        barrier()
    return found


def is_pretrained(config: Config, datasets: DatasetPair, cache: Path | CachePath) -> bool:
    """Whether the cache has the source model of a config."""
    return _complete(_checkpoint(cache, pretrain_digest(config, datasets)), config)


def build_objective(config: Config, feed: Feed, model: Backbone, copies: Backbone) -> Objective:
    """Pre-training objective of a config. `copies`: the momentum model at its start."""
    node = config.pretrain.objective
    if isinstance(node, CrossBatchMemory):
        return CrossBatch(node, config, feed, model)
    assert isinstance(node, MomentumDistillation)
    return Momentum(node, config, feed, model, copies)


def _checkpoint(cache: Path | CachePath, name: str) -> CachePath:
    return CachePath.at(cache) / "pretrain" / name / "checkpoint.pt"


def _complete(kept: CachePath, config: Config) -> bool:
    """Whether its last checkpoint is here, or has been fetched now."""

    def here() -> bool:
        return kept.local_path.exists() and bool(load_checkpoint(kept.local_path)["step"] == config.pretrain.steps)

    return here() or (kept.download() and here())


def _train(config: Config, datasets: DatasetPair, name: str, place: StoragePath, report: ProgressCallback) -> None:
    feed = datasets.feed(config, config.pretrain.batch, config.pretrain.per_identity)
    model, copies = initial_models(config, datasets.tokenizer.vocabulary)
    objective = build_objective(config, feed, model, copies)
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
        weights={name: float(value) for name, value in dataclasses.asdict(config.weights).items()},
        monitor=monitor,
        report=report,
    ).run(place)


def flatness(curve: list[Point]) -> str:
    """The source val Rank-1 over pre-training, in words, so that a table shows whether it was flat at the end."""
    values = [f"{float(p['value']):.1f}" for p in curve if p["name"] == "source_val_rank_1"]
    return "source val Rank-1 over pre-training (evenly spread): " + ", ".join(values)

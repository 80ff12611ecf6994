"""Loading of a checkpoint: its config and its student, ready for evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gckd.config import apply, check, read_config
from gckd.config.config_file import CONFIG_FILE
from gckd.config.schema import Config
from gckd.data.batches import Feed
from gckd.data.caption_check import examples
from gckd.data.dataset_pair import DatasetPair, open_datasets
from gckd.errors import InputError
from gckd.evaluation.retrieval import EmbeddingTransform, Retriever, unchanged
from gckd.method.banks import train_means
from gckd.method.build import build_parts
from gckd.method.parts import Parts
from gckd.method.weight_average import WeightAverage
from gckd.models.base import Backbone
from gckd.models.build import build_model
from gckd.storage.cache import CachePath
from gckd.storage.checkpoint import STAGE_FIELDS, load_checkpoint
from gckd.storage.path import StoragePath
from gckd.training.checkpoint_data import with_tokenizer_of

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Student:
    """A trained backbone with all that its evaluation reads: datasets, centring data and test-time propagation."""

    config: Config
    datasets: DatasetPair
    backbone: Backbone
    feed: Feed
    transform: EmbeddingTransform

    def retriever(self) -> Retriever:
        """Retriever that centres embeddings by the means of the target's train split."""
        means = train_means(self.backbone, self.feed.target, self.config.centre)
        return Retriever(self.backbone, self.config.evaluate, means, self.transform)


def checkpoint_file(location: str | Path | StoragePath) -> StoragePath:
    """Checkpoint at a location: the file itself, the only one in its folder, or the only one of an output folder.

    Raises:
        InputError: there is no checkpoint, or there are several.
    """
    path = StoragePath.at(location)
    if not path.exists():
        raise InputError(f"{path}: there is no such checkpoint file")
    if path.local is None and (path / CHECKPOINT).exists():
        return path / CHECKPOINT
    if path.local is None or not path.local.is_dir():
        return path
    checkpoints = sorted(
        file for pattern in ("", "seed-*/", "*/seed-*/") for file in path.local.glob(pattern + CHECKPOINT)
    )
    if len(checkpoints) != 1:
        names = examples(str(file.relative_to(path.local)) for file in checkpoints) or "none"
        raise InputError(f"{path}: expected one {CHECKPOINT}; found {names}; give the path of one")
    return StoragePath.at(checkpoints[0])


def checkpoint_config(checkpoint: StoragePath, edits: Mapping[str, Any] | None = None) -> Config:
    """Config of a checkpoint: the config.yaml in its folder, with edits.

    Raises:
        InputError: the checkpoint or its config.yaml does not exist, or the checkpoint is a folder.
        ConfigError: an edit is refused.
    """
    if not checkpoint.exists():
        raise InputError(f"{checkpoint}: there is no such checkpoint file")
    if checkpoint.local and checkpoint.local.is_dir():
        example = next(checkpoint.local.rglob(CHECKPOINT), checkpoint.local / CHECKPOINT)
        raise InputError(f"{checkpoint}: is a folder; give a checkpoint file such as {example}")
    config_path = checkpoint.parent / CONFIG_FILE
    if not config_path.exists():
        raise InputError(f"{config_path}: not found; the config of {checkpoint.name} is expected there")
    with config_path.reading() as file:
        config = read_config(file)
    return apply(config, dict(edits)) if edits else config


def load_student(
    config: Config, checkpoint: Path | StoragePath, cache: Path | CachePath, datasets: DatasetPair | None = None
) -> Student:
    """Student of a checkpoint, on the default device.

    Args:
        config: of the run that wrote the checkpoint.
        datasets: of the config; opened now if None.

    Raises:
        InputError: the file is not a checkpoint of this config.
    """
    content = load_checkpoint(checkpoint, STAGE_FIELDS)
    datasets = with_tokenizer_of(checkpoint, content, datasets or open_datasets(check(config), cache))
    feed = datasets.feed(config, config.adapt.batch)
    modules, backbone = content["modules"], build_model(config, datasets.tokenizer.vocabulary)
    transform: EmbeddingTransform = unchanged
    try:
        backbone.load_state_dict(modules["student"])
        _check_finite(checkpoint, modules["student"])
        if config.adapt.source_share:
            average = WeightAverage(backbone, config.adapt.source_share)
            average.load_state_dict(modules["average"])
            average.apply_to(backbone)
        if config.evaluate.propagate:
            parts = build_parts(config, feed, backbone)
            parts.banks.load_state_dict(modules["banks"])
            if isinstance(parts.propagate, nn.Module):  # otherwise it has no weights
                parts.propagate.load_state_dict(modules["propagate"])
            transform = evaluation_transform(parts)
    except (KeyError, RuntimeError) as error:
        raise InputError(
            f"{checkpoint}: does not hold the student of this config ({_first_mismatch(error)})"
        ) from error
    return Student(config, datasets, backbone, feed, transform)


def _check_finite(checkpoint: Path | StoragePath, weights: Mapping[str, Tensor]) -> None:
    """Refuse a checkpoint with weights that are NaN or infinite."""
    names = [name for name, value in weights.items() if not bool(torch.isfinite(value).all())]
    if names:
        raise InputError(
            f"{checkpoint}: {len(names)} weights hold NaN or infinite values, {names[0]} first; the run diverged"
        )


def _first_mismatch(error: Exception) -> str:
    """First of the weights that PyTorch lists, one line each, below a heading."""
    heading, _, mismatches = str(error).partition("\n")
    return mismatches.strip().partition("\n")[0] or heading


def evaluation_transform(parts: Parts) -> EmbeddingTransform:
    """Propagation at test time, if `evaluate.propagate` is on: each test item joins the graph over the banks alone.

    Inductive, as in GraphSAGE (Hamilton et al., NIPS 2017): a test item receives messages from its K nearest bank
    entries, and through them from their neighbours. It sends none, so that test items do not affect each other. Ours.
    """
    if not parts.config.evaluate.propagate:
        return unchanged
    views = parts.banks.space(parts.config.centre).banks

    @torch.no_grad()
    def transform(bank: int, embeddings: Tensor) -> Tensor:
        return parts.propagate.join(views, bank, embeddings)

    return transform

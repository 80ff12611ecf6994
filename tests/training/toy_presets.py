"""Presets at toy size: their settings with a backbone of a few thousand weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from gckd.config import Config, apply, check, preset
from gckd.config.data import PretrainedTokenizer
from gckd.config.stages import CrossBatchMemory, MomentumDistillation
from gckd.data.dataset_pair import open_datasets
from gckd.data.tokenizer import build_tokenizer
from gckd.models.build import build_model
from tests.published import published

SMALL: dict[str, Any] = {
    "data.height": 16,
    "data.width": 8,
    "data.max_words": 12,
    "data.max_tokens": 16,
    "backbone.vision.width": 16,
    "backbone.vision.depth": 1,
    "backbone.text.width": 16,
    "backbone.text.depth": 1,
    "backbone.embed_dim": 8,
    "graph.memory.capacity": 7,
    "graph.propagate.k": 3,
}
SMALL |= {f"{stage}.{name}": value for stage in ("pretrain", "adapt") for name, value in (("steps", 3), ("batch", 4))}


def toy_tiny(config: Config) -> Config:
    """`tiny` on the datasets of `config`."""
    small = SMALL | {
        "data.source": config.data.source,
        "data.target": config.data.target,
        "tokenizer.vocab_size": 90,
        "pretrain.objective": CrossBatchMemory(size=8),
        "pretrain.evaluations": 1,
        "pretrain.fusion_every": 1,
        "adapt.fusion_every": 1,
    }
    return apply(preset("tiny"), small)


def toy_base(config: Config, cache: Path, folder: Path) -> Config:
    """`base` on the datasets of `config`, with a checkpoint at 16 x 16 images and a vocabulary, written to `folder`."""
    open_datasets(config, cache)
    (vocabulary, *_) = sorted((cache / "tokenizers").glob("*/vocab.txt"))
    (folder / "vocab.txt").write_bytes(vocabulary.read_bytes())
    small = SMALL | {
        "data.source": config.data.source,
        "data.target": config.data.target,
        "tokenizer": PretrainedTokenizer(str(folder)),
        "backbone.vision.patch": 8,
        "backbone.vision.heads": 2,
        "backbone.text.fusion_depth": 1,
        "backbone.text.heads": 2,
        "pretrain.objective": MomentumDistillation(queue=9),
        "pretrain.evaluations": 1,
        "adapt.evaluations": 1,
    }
    toy = apply(preset("base"), small)
    words = build_tokenizer(toy.tokenizer, [], cache, max_words=12, max_tokens=16).vocabulary
    square = apply(toy, {"data.width": 16})
    torch.save({"model": published(build_model(square, words))}, folder / "ALBEF.pth")
    return check(apply(toy, {"backbone.weights": str(folder / "ALBEF.pth")}))

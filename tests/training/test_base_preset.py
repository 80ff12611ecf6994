"""Preset `base` at toy size: published weights and a pretrained vocabulary."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from gckd.config import Config, preset
from gckd.data.types import Vocabulary
from gckd.models.build import build_model
from gckd.training.run import train_run
from tests.training.toy_presets import toy_base


@pytest.fixture(scope="module")
def base(config: Config, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """`base` at toy size."""
    return toy_base(config, cache, tmp_path_factory.mktemp("base"))


def test_base_trains_from_published_weights(base: Config, cache: Path, tmp_path: Path) -> None:
    result = train_run(base, cache=cache, out=tmp_path)
    names = {str(point["name"]) for point in result.curves}
    assert {"source_contrastive", "source_matching", "source_mlm", "target_contrastive", "target_matching"} <= names
    assert all(math.isfinite(float(point["value"])) for point in result.curves)


def test_base_has_the_settings_of_the_paper() -> None:
    base = preset("base")
    vision, text = base.backbone.vision, base.backbone.text
    assert (vision.patch, vision.width, vision.depth, vision.heads) == (16, 768, 12, 12)
    assert (text.width, text.depth, text.fusion_depth, text.heads, text.dropout) == (768, 6, 6, 12, 0.1)
    assert (base.data.height, base.data.width, base.data.max_words, base.backbone.embed_dim) == (384, 384, 50, 256)
    assert (base.graph.memory.capacity, getattr(base.graph.propagate, "k", 0)) == (65_536, 10)
    assert (getattr(base.distill.teacher, "m", 0), base.distill.alpha, base.adapt.lr) == (0.999, 0.4, 1e-5)
    assert (base.adapt.weight_decay, base.pretrain.weight_decay) == (0.02, 0.02)


def test_base_has_as_many_parameters_as_the_published_model() -> None:
    """ViT-B/16 with 577 positions, BERT-base with cross-attention in its upper half, projections and heads."""
    with torch.device("meta"):
        model = build_model(preset("base"), Vocabulary(30_522, 102))
    width, mlp = 768, 4 * 768
    linear = lambda a, b: a * b + b  # noqa: E731
    norm = 2 * width
    vit = linear(3 * 16 * 16, width) + width + 577 * width + norm
    vit += 12 * (2 * norm + linear(width, 3 * width) + linear(width, width) + linear(width, mlp) + linear(mlp, width))
    attention = 4 * linear(width, width) + norm
    layer = attention + linear(width, mlp) + linear(mlp, width) + norm
    bert = (30_522 + 64 + 2) * width + norm + 12 * layer + 6 * attention
    heads = linear(width, width) + norm + 30_522 + linear(width, 2) + 2 * linear(width, 256) + 1
    assert sum(p.numel() for p in model.parameters()) == vit + bert + heads

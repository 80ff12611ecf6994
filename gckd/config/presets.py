"""Presets are functions that return a config; everything else is an edit of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gckd.config.edit import apply
from gckd.config.graph import Diffusion
from gckd.config.schema import Config
from gckd.errors import InputError


def tiny() -> Config:
    """Made for two CPU cores: 64 x 32 images, 0.6 M parameters, minutes.

    The graph passes messages on pseudo similarities. C, K, m and alpha differ from the paper's: hundreds of steps
    instead of tens of thousands leave a teacher of m = 0.999 where it began, and identities of five images have four
    neighbours worth having. Chosen with target labels of generated datasets (LOG.md).
    """
    graph = {"graph.propagate": Diffusion(k=5, residual=0.4), "graph.memory.capacity": 2048}
    return apply(Config(), graph | {"distill.teacher.m": 0.99, "distill.alpha": 0.0, "adapt.steps": 100})


def small() -> Config:
    """`tiny` with more training and larger banks: a saturated source model, where a table says something."""
    steps = {"pretrain.steps": 2000, "adapt.steps": 350, "adapt.evaluations": 4}
    return apply(tiny(), steps | {"graph.memory.capacity": 4096})


def base() -> Config:
    """The paper's size: ViT-B/16 and BERT-base halves at 384 x 128, C = 65,536, m = 0.999, K = 10."""
    albef = {"backbone.vision.patch": 16, "backbone.vision.stem": "linear", "backbone.vision.width": 768}
    albef |= {"backbone.vision.depth": 12, "backbone.vision.heads": 12, "backbone.text.dropout": 0.1}
    albef |= {"backbone.text.width": 768, "backbone.text.depth": 6}
    albef |= {"backbone.text.fusion_depth": 6, "backbone.text.heads": 12, "backbone.embed_dim": 256}
    size = {"data.height": 384, "data.width": 128, "tokenizer": "pretrained"}
    train: dict[str, Any] = {"graph.memory.capacity": 65_536, "adapt.batch": 32, "pretrain.batch": 32}
    train |= {"pretrain.lr": 1e-5, "adapt.lr": 1e-5, "pretrain.steps": 30_000, "adapt.steps": 10_000}
    return apply(Config(), albef | size | train | {"pretrain.fusion_every": 1, "adapt.fusion_every": 1})


PRESETS: dict[str, Callable[[], Config]] = {"tiny": tiny, "small": small, "base": base}


def preset(name: str) -> Config:
    """The preset called `name`.

    Raises:
        InputError: there is none; the message lists them.
    """
    if name not in PRESETS:
        raise InputError(f"--preset: {name!r} is not one of {', '.join(PRESETS)}")
    return PRESETS[name]()

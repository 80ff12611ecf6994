"""Presets are functions that return a config; everything else is an edit of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gckd.config.data import RandAugment
from gckd.config.distill import SoftTargets
from gckd.config.edit import apply
from gckd.config.graph import Diffusion
from gckd.config.schema import Config
from gckd.config.train import MomentumDistillation
from gckd.errors import InputError


def tiny() -> Config:
    """Made for two CPU cores: 64 x 32 images, 0.6 M parameters, minutes.

    The graph passes messages on pseudo similarities. C, K, m and alpha differ from the paper's: hundreds of steps
    instead of tens of thousands leave a teacher of m = 0.999 where it began, and identities of five images have four
    neighbours worth having. Chosen with target labels of generated datasets (LOG.md).
    """
    graph = {"graph.propagate": Diffusion(k=5, residual=0.4), "graph.memory.capacity": 2048}
    time = {"adapt.steps": 80, "adapt.evaluations": 1, "pretrain.fusion_every": 32}
    return apply(Config(), graph | time | {"distill.teacher.m": 0.99, "distill.alpha": 0.0})


def small() -> Config:
    """`tiny` with more training and larger banks: a saturated source model, where a table says something."""
    steps = {"pretrain.steps": 2000, "adapt.steps": 350, "adapt.evaluations": 4, "pretrain.fusion_every": 8}
    return apply(tiny(), steps | {"graph.memory.capacity": 4096})


def base() -> Config:
    """The paper's setting: published ALBEF (ViT-B/16, 6 + 6 BERT layers) at 384 x 384, C = 65,536, m = 0.999, K = 10.

    Its parts that are ours are at their neutral values: embeddings as they are (no centring), targets as in eq. 6-7,
    all loss terms of eq. 10 with weight 1. For person crops set `data.width` to 128.
    """
    vision = {"patch": 16, "stem": "linear", "width": 768, "depth": 12, "heads": 12, "pixels": "clip"}
    text = {"width": 768, "depth": 6, "fusion_depth": 6, "heads": 12, "dropout": 0.1}
    edits: dict[str, Any] = {f"backbone.vision.{name}": value for name, value in vision.items()}
    edits |= {f"backbone.text.{name}": value for name, value in text.items()}
    edits |= {"backbone.embed_dim": 256, "backbone.compute.precision": "bf16", "tokenizer": "pretrained"}
    edits |= {"data.height": 384, "data.width": 384, "augment": RandAugment(), "centre": False}
    edits |= {"graph.memory.capacity": 65_536, "pretrain.objective": MomentumDistillation()}
    edits |= {"pretrain.per_identity": 1, "pretrain.ramp": 0.0}
    edits |= {"distill.targets": SoftTargets(sharpen=1.0, agree=False, confidence=0.0)}
    edits |= {f"weights.{name}": 1.0 for name in ("source_matching", "source_mlm")}
    edits |= {f"weights.{name}": 1.0 for name in ("target_contrastive", "target_matching")}
    for stage, steps in (("pretrain", 30_000), ("adapt", 10_000)):
        edits |= {f"{stage}.steps": steps, f"{stage}.batch": 32, f"{stage}.lr": 1e-5, f"{stage}.fusion_every": 1}
    return apply(Config(), edits)


PRESETS: dict[str, Callable[[], Config]] = {"tiny": tiny, "small": small, "base": base}


def preset(name: str) -> Config:
    """The preset called `name`.

    Raises:
        InputError: there is none; the message lists them.
    """
    if name not in PRESETS:
        raise InputError(f"--preset: {name!r} is not one of {', '.join(PRESETS)}")
    return PRESETS[name]()

"""Stages, loss weights and evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from gckd.config.component import ObjectiveConfig
from gckd.config.fields import option, section


@dataclass(frozen=True)
class Weights:
    """Weights of the loss terms (eq. 10)."""

    source_contrastive: float = option(1.0, "image-text contrastive loss on the source", ge=0, le=100)
    source_intra: float = option(0.0, "image-image and text-text contrastive loss of pre-training", ge=0, le=100)
    source_matching: float = option(1.0, "image-text matching on the source", ge=0, le=100)
    source_mlm: float = option(1.0, "masked language modelling on the source", ge=0, le=100)
    source_metric: float = option(1.0, "metric learning on the source, in adaptation alone", ge=0, le=100)
    target_contrastive: float = option(1.0, "pseudo similarity targets, or what is in their place", ge=0, le=100)
    graph: float = option(
        1.0, "source identities told by propagated embeddings: what a learned convolution learns from", ge=0, le=100
    )
    target_matching: float = option(1.0, "cross-domain matching", ge=0, le=100)
    align: float = option(1.0, "alignment of the domains", ge=0, le=100)


@dataclass(frozen=True)
class CrossBatchMemory(ObjectiveConfig):
    """Identity-aware contrast with the batch and the model's own recent embeddings, across and within modalities."""

    kind: ClassVar[str] = "memory"
    size: int = option(
        1024, "recent embeddings that are negatives beside the batch, after the warm-up; 0 = none", ge=0, le=2**20
    )

    def problems(self, config: Any) -> Iterator[str]:
        batch: int = config.pretrain.batch
        if 0 < self.size < batch:
            yield f"pretrain.objective.size: {self.size} is outside its limit: 0, or >= pretrain.batch = {batch}"


@dataclass(frozen=True)
class MomentumDistillation(ObjectiveConfig):
    """ALBEF's own: contrast with queues of a momentum model, whose similarities and words also soften the targets."""

    kind: ClassVar[str] = "momentum"
    momentum_model: ClassVar[bool] = True
    queue: int = option(65_536, "embeddings of the momentum model in each queue", unit="entries", ge=1, le=2**22)
    m: float = option(0.995, "momentum of the momentum model", ge=0, lt=1)
    alpha: float = option(0.4, "weight of its targets against identities, ramped over the first epoch", ge=0, le=1)

    def problems(self, config: Any) -> Iterator[str]:
        batch: int = config.pretrain.batch
        if self.queue < batch:
            yield f"pretrain.objective.queue: {self.queue} is outside its limit: >= pretrain.batch = {batch}"


@dataclass(frozen=True)
class Pretrain:
    """Stage 1: source pre-training, shared by every row and trial under its digest."""

    steps: int = option(
        30_000, "optimiser steps; 0: backbone.weights are the source model", unit="steps", ge=0, le=10_000_000
    )
    batch: int = option(32, "pairs that are compared with each other", unit="pairs", ge=2, le=65_536)
    accumulate: int = option(1, "batches whose gradients are averaged in a step", unit="batches", ge=1, le=4096)
    lr: float = option(1e-5, "peak learning rate", gt=0, le=1)
    warmup: float = option(0.1, "share of the steps with rising learning rate", ge=0, lt=1)
    weight_decay: float = option(0.02, "AdamW weight decay, not on 1-D parameters", ge=0, le=10)
    clip: float = option(1.0, "gradients are clipped to this norm", gt=0, le=1e6)
    ramp: float = option(0.0, "share of the steps over which the augmentation grows to full strength", ge=0, le=1)
    objective: ObjectiveConfig = section(MomentumDistillation, "what the contrastive terms compare")
    per_identity: int = option(1, "images of one identity that stand together in a batch", unit="images", ge=1, le=64)
    evaluations: int = option(5, "evaluations on source val, evenly spread", ge=1, le=1000)
    fusion_every: int = option(
        1, "matching and MLM are computed at every n-th step, weighted n-fold", unit="steps", ge=1, le=1000
    )


@dataclass(frozen=True)
class Adapt:
    """Stage 3: adaptation; equal for every row."""

    steps: int = option(10_000, "optimiser steps; 0: the source model as it is", unit="steps", ge=0, le=10_000_000)
    batch: int = option(32, "B: examples per domain and batch", unit="pairs", ge=2, le=65_536)
    accumulate: int = option(1, "batches whose gradients are averaged in a step", unit="batches", ge=1, le=4096)
    lr: float = option(1e-5, "peak learning rate", gt=0, le=1)
    warmup: float = option(0.1, "share of the steps with rising learning rate", ge=0, lt=1)
    weight_decay: float = option(0.02, "AdamW weight decay, not on 1-D parameters", ge=0, le=10)
    clip: float = option(1.0, "gradients are clipped to this norm", gt=0, le=1e6)
    parameters: str = option(
        "all",
        "what of the student is trained: all, or the LayerNorms of its text encoder alone",
        choices=("all", "text-norms"),
    )
    evaluations: int = option(2, "points of the curves, evenly spread (target val, for monitoring only)", ge=1, le=1000)
    source: str = option(
        "samples",
        "what there is of the source: its samples; or, source-free, embeddings by the source model frozen in the "
        "source banks; their mean for each identity; or nothing",
        choices=("samples", "banks", "prototypes", "none"),
    )
    fusion_every: int = option(
        1, "matching and MLM are computed at every n-th step, weighted n-fold", unit="steps", ge=1, le=1000
    )


@dataclass(frozen=True)
class Evaluate:
    """Retrieval on the target test split: captions are queries, images the gallery."""

    batch: int = option(256, "examples per forward pass", ge=1, le=65_536)
    k_test: int = option(0, "re-rank the top k_test by the matching head; 0 = off", unit="images", ge=0, le=100_000)
    below: str = option("contrastive", "order below the re-ranked top", choices=("contrastive", "constant"))
    propagate: bool = option(
        False, "at the end, rank by propagated embeddings: each test item joined by itself to the graph over the banks"
    )
    audit: bool = option(False, "curves that read the labels of the target's train split; for understanding only")

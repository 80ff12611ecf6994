"""Stages of a run (pre-training, adaptation, evaluation) and the weights of the loss terms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from gckd.config.component import ObjectiveConfig, OptimizerConfig
from gckd.config.fields import option, section
from gckd.config.optimizers import AdamW

NO_SEARCH_BY_LABELS = "adapt.labels: 'target' reads target labels, which no search may use; set it to source"


@dataclass(frozen=True)
class Weights:
    """Weights of the loss terms (eq. 10)."""

    source_contrastive: float = option(1.0, "image-text contrastive loss on the source", ge=0, le=100)
    source_intra: float = option(0.0, "image-image and text-text contrastive loss of pre-training", ge=0, le=100)
    source_matching: float = option(1.0, "image-text matching on the source", ge=0, le=100)
    source_mlm: float = option(1.0, "masked language modelling on the source", ge=0, le=100)
    source_metric: float = option(1.0, "metric loss on the source, in adaptation alone", ge=0, le=100)
    target_contrastive: float = option(
        1.0, "cross-entropy with the pseudo targets on the target, or the loss in its place", ge=0, le=100
    )
    graph: float = option(
        1.0, "source identities from propagated embeddings, by which a learned convolution is trained", ge=0, le=100
    )
    target_matching: float = option(1.0, "cross-domain matching on the target", ge=0, le=100)
    align: float = option(1.0, "alignment of source and target", ge=0, le=100)
    target_mlm: float = option(1.0, "masked language modelling on the target's captions alone", ge=0, le=100)
    target_views: float = option(1.0, "contrast of views within each modality of the target", ge=0, le=100)


@dataclass(frozen=True)
class CrossBatchMemory(ObjectiveConfig):
    """Identity-aware contrast with the batch and with recent embeddings of the model, across and within modalities."""

    kind: ClassVar[str] = "memory"
    size: int = option(
        1024, "recent embeddings that are negatives beside the batch, after the warm-up; 0: none", ge=0, le=2**20
    )

    def problems(self, config: Any) -> Iterator[str]:
        batch: int = config.pretrain.batch
        if 0 < self.size < batch:
            yield f"pretrain.objective.size: {self.size} is outside its limit: 0, or >= pretrain.batch = {batch}"


@dataclass(frozen=True)
class MomentumDistillation(ObjectiveConfig):
    """ALBEF's objective: contrast with queues of a momentum model, which also softens the targets."""

    kind: ClassVar[str] = "momentum"
    momentum_model: ClassVar[bool] = True
    queue: int = option(65_536, "embeddings of the momentum model in each queue", unit="entries", ge=1, le=2**22)
    m: float = option(0.995, "momentum of the momentum model", ge=0, lt=1)
    alpha: float = option(
        0.4, "weight of its soft targets against identity targets, ramped up over the first epoch", ge=0, le=1
    )

    def problems(self, config: Any) -> Iterator[str]:
        batch: int = config.pretrain.batch
        if self.queue < batch:
            yield f"pretrain.objective.queue: {self.queue} is outside its limit: >= pretrain.batch = {batch}"


@dataclass(frozen=True)
class Pretrain:
    """Source pre-training (stage 1). Rows and trials with the same digest share its result."""

    steps: int = option(
        30_000, "optimiser steps; 0: backbone.weights is the source model", unit="steps", ge=0, le=10_000_000
    )
    batch: int = option(32, "image-caption pairs in a batch", unit="pairs", ge=2, le=65_536)
    accumulate: int = option(1, "batches in a step, whose gradients are averaged", unit="batches", ge=1, le=4096)
    optimizer: OptimizerConfig = section(AdamW, "optimiser")
    lr: float = option(1e-5, "peak learning rate", gt=0, le=1)
    warmup: float = option(0.1, "share of the steps in which the learning rate rises", ge=0, lt=1)
    weight_decay: float = option(0.02, "weight decay, except on 1-D parameters", ge=0, le=10)
    clip: float = option(1.0, "largest norm of the gradient", gt=0, le=1e6)
    ramp: float = option(0.0, "share of the steps in which the augmentation grows to full strength", ge=0, le=1)
    objective: ObjectiveConfig = section(MomentumDistillation, "contrastive objective")
    per_identity: int = option(1, "images of each identity in a batch", unit="images", ge=1, le=64)
    evaluations: int = option(5, "evaluations on source val, evenly spaced", ge=1, le=1000)
    fusion_every: int = option(
        1, "compute matching and MLM at every n-th step, with n times the weight", unit="steps", ge=1, le=1000
    )


@dataclass(frozen=True)
class Adapt:
    """Adaptation (stage 3)."""

    steps: int = option(10_000, "optimiser steps; 0: evaluate the source model", unit="steps", ge=0, le=10_000_000)
    stop_after: int = option(
        0,
        "last optimiser step, before the end of the schedule of `steps`; 0: all steps",
        unit="steps",
        ge=0,
        le=10**7,
    )
    batch: int = option(32, "B: examples of each domain in a batch", unit="pairs", ge=2, le=65_536)
    accumulate: int = option(1, "batches in a step, whose gradients are averaged", unit="batches", ge=1, le=4096)
    optimizer: OptimizerConfig = section(AdamW, "optimiser")
    lr: float = option(1e-5, "peak learning rate", gt=0, le=1)
    warmup: float = option(0.1, "share of the steps in which the learning rate rises", ge=0, lt=1)
    weight_decay: float = option(0.02, "weight decay, except on 1-D parameters", ge=0, le=10)
    clip: float = option(1.0, "largest norm of the gradient", gt=0, le=1e6)
    rounds: int = option(
        1,
        "equal parts of the steps; before each but the first the teacher becomes the student, the banks are filled "
        "again and the learning-rate schedule restarts",
        ge=1,
        le=1000,
    )
    source_share: float = option(
        0.0,
        "share of the source model's weights in the evaluated weights, the rest is the student's; 0: the student",
        ge=0,
        lt=1,
    )
    parameters: str = option(
        "all",
        "trained parameters of the student: all, or the LayerNorms of its text encoder",
        choices=("all", "text-norms"),
    )
    evaluations: int = option(
        2, "evaluations on target val for the curves, evenly spaced; they select nothing", ge=1, le=1000
    )
    source: str = option(
        "samples",
        "available source data: samples; or, source-free, frozen source banks, their mean for each identity "
        "(prototypes), or none",
        choices=("samples", "banks", "prototypes", "none"),
    )
    labels: str = option(
        "source",
        "domain whose labelled train split is trained on; target: an upper reference that reads target labels, never "
        "a method",
        choices=("source", "target"),
    )
    fusion_every: int = option(
        1, "compute matching and MLM at every n-th step, with n times the weight", unit="steps", ge=1, le=1000
    )


@dataclass(frozen=True)
class Evaluate:
    """Retrieval on the target test split. Captions are the queries, images the gallery."""

    batch: int = option(256, "examples in a forward pass", ge=1, le=65_536)
    k_test: int = option(
        0, "re-rank the top k_test images by the matching head; 0: off", unit="images", ge=0, le=100_000
    )
    below: str = option(
        "contrastive",
        "order of the images below the re-ranked ones: contrastive similarity, or one constant score",
        choices=("contrastive", "constant"),
    )
    propagate: bool = option(
        False, "rank by propagated embeddings at the end: each test item joins the graph over the banks by itself"
    )
    audit: bool = option(False, "draw curves that read labels of the target's train split; they influence nothing")

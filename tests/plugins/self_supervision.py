"""Self-supervised loss: target embeddings spread over the sphere."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gckd.extend import (
    SELF_SUPERVISIONS,
    Backbone,
    Feed,
    PerBank,
    SelfSupervisionConfig,
    StudentEmbeddings,
    TargetBatch,
    option,
)


@dataclass(frozen=True)
class Uniformity(SelfSupervisionConfig):
    """Uniformity (Wang and Isola, ICML 2020)."""

    kind: ClassVar[str] = "uniformity"
    t: float = option(2.0, "factor of the squared distances", gt=0, le=100)


@SELF_SUPERVISIONS.register(Uniformity)
class UniformityLoss:
    def __init__(self, node: Uniformity, feed: Feed, student: Backbone) -> None:
        self.t = node.t

    def __call__(
        self, batch: TargetBatch, student: StudentEmbeddings, banks: PerBank, positions: PerBank, step: int
    ) -> dict[str, Tensor]:
        losses = [(-self.t * torch.pdist(x).square()).exp().mean().log() for x in student]
        return {"target_views": torch.stack(losses).mean()}

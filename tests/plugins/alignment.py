"""Alignment loss: squared distance of the domains' mean embeddings."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gckd.extend import ALIGNMENTS, AlignmentConfig, StudentEmbeddings, option


@dataclass(frozen=True)
class MeanDistance(AlignmentConfig):
    """Squared distance of the mean embeddings."""

    kind: ClassVar[str] = "mean-distance"
    scale: float = option(1.0, "factor of the distance", gt=0, le=100)


@ALIGNMENTS.register(MeanDistance)
class MeanDistanceLoss:
    def __init__(self, node: MeanDistance, width: int) -> None:
        self.scale = node.scale

    def __call__(self, source: StudentEmbeddings, target: StudentEmbeddings, progress: float) -> dict[str, Tensor]:
        distances = [(x.mean(0) - y.mean(0)).square().sum() for x, y in zip(source, target, strict=True)]
        return {"align": self.scale * torch.stack(distances).mean()}

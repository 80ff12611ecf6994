"""Pseudo labels: the teacher's similarities of confident queries alone."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gckd.extend import TARGETS, PseudoLabelLoss, RetrievalDirection, Similarity, TargetsConfig, option


@dataclass(frozen=True)
class Confident(TargetsConfig):
    """Soft labels of the queries whose largest similarity exceeds a threshold."""

    kind: ClassVar[str] = "confident"
    needs_teacher: ClassVar[bool] = True
    threshold: float = option(0.1, "least probability of the nearest key", ge=0, lt=1)


class ConfidentLabels:
    def __init__(self, threshold: float, similarity: Similarity) -> None:
        self.threshold, self.similarity = threshold, similarity

    def labels(self, direction: RetrievalDirection, tau: float) -> Tensor:
        similarity = self.similarity(direction, tau, False)
        return similarity * (similarity.amax(1, keepdim=True) > self.threshold)


@TARGETS.register(Confident)
def confident(node: Confident, similarity: Similarity) -> PseudoLabelLoss:
    return PseudoLabelLoss(ConfidentLabels(node.threshold, similarity))

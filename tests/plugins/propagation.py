"""Propagation without a graph: every embedding moves towards the mean of its bank."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from gckd.extend import PROPAGATIONS, BankPropagation, DirectSimilarity, PropagationConfig, option


@dataclass(frozen=True)
class TowardsMean(PropagationConfig):
    """Weighted mean of each embedding and the mean of its bank."""

    kind: ClassVar[str] = "towards-mean"
    weight: float = option(0.1, "weight of the mean", ge=0, lt=1)


class MeanPropagation:
    def __init__(self, weight: float) -> None:
        self.weight = weight

    def __call__(self, banks: Sequence[Tensor], positions: Sequence[Tensor]) -> Sequence[Tensor]:
        return [self.join(banks, i, bank[rows]) for i, (bank, rows) in enumerate(zip(banks, positions, strict=True))]

    def join(self, banks: Sequence[Tensor], bank: int, items: Tensor) -> Tensor:
        return F.normalize(items.lerp(banks[bank].mean(0), self.weight), dim=1)


@PROPAGATIONS.register(TowardsMean)
def towards_mean(node: TowardsMean, width: int) -> BankPropagation:
    return BankPropagation(MeanPropagation(node.weight), DirectSimilarity())

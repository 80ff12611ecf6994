"""Approximate neighbour search: compare some of the dimensions only."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from gckd.extend import NEIGHBOUR_SEARCHES, Neighbours, NeighbourSearch, NeighbourSearchConfig, option


@dataclass(frozen=True)
class FewDimensions(NeighbourSearchConfig):
    """Search in every n-th dimension."""

    kind: ClassVar[str] = "few-dimensions"
    every: int = option(2, "n: one dimension of n is compared", ge=1, le=8)


@NEIGHBOUR_SEARCHES.register(FewDimensions)
class ProjectedSearch(NeighbourSearch):
    def __init__(self, node: FewDimensions) -> None:
        self.every = node.every

    def __call__(self, nodes: Tensor, queries: Tensor, k: int, senders: int | None = None) -> Neighbours:
        indices = super().__call__(F.normalize(nodes[:, :: self.every], dim=1), queries, k, senders).indices
        cosine, order = (nodes[queries, None] * nodes[indices]).sum(2).sort(1, descending=True)
        return Neighbours(indices.gather(1, order), cosine)

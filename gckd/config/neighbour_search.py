"""Search of the nearest neighbours in the graph: with torch or with faiss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gckd.config.component import NeighbourSearchConfig
from gckd.config.fields import option


@dataclass(frozen=True)
class TorchSearch(NeighbourSearchConfig):
    """Exact search with torch. The neighbour lists of large target banks are updated instead of searched again."""

    kind: ClassVar[str] = "torch"
    update_above: int = option(
        4096,
        "update the neighbour lists of target banks with more entries; smaller banks are searched at each step",
        unit="entries",
        ge=0,
        le=2**22,
    )

    @property
    def approximate(self) -> bool:
        return False


@dataclass(frozen=True)
class FaissSearch(NeighbourSearchConfig):
    """Search with faiss at each step: exact, or approximate for millions of entries."""

    kind: ClassVar[str] = "faiss"
    index: str = option(
        "flat",
        "flat: exact; ivf: approximate, in the inverted lists whose centres are nearest to a node",
        choices=("flat", "ivf"),
    )
    probes: int = option(16, "inverted lists that are searched for each node, of sqrt(N)", unit="lists", ge=1, le=4096)

    @property
    def approximate(self) -> bool:
        return self.index != "flat"

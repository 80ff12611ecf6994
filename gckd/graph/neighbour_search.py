"""Search of the K nearest neighbours that a config describes (slot `graph.propagate.search`)."""

from __future__ import annotations

from collections import defaultdict

from gckd.config.component import NeighbourSearchConfig, PropagationConfig
from gckd.config.neighbour_search import FaissSearch, TorchSearch
from gckd.config.registry import Registry
from gckd.graph.faiss_search import FaissNeighbourSearch
from gckd.graph.knn import CentredBank, Neighbours, NeighbourSearch
from gckd.graph.neighbour_lists import NeighbourLists

NEIGHBOUR_SEARCHES: Registry[NeighbourSearchConfig, NeighbourSearch] = Registry(NeighbourSearchConfig)


@NEIGHBOUR_SEARCHES.register(TorchSearch)
class UpdatedNeighbourSearch(NeighbourSearch):
    """Exact search, which updates the neighbour lists of large banks (`NeighbourLists`) at each step.

    The lists are not in a checkpoint: searched again, they are identical.
    """

    def __init__(self, node: TorchSearch) -> None:
        self.update_above = node.update_above
        self._lists: defaultdict[str, NeighbourLists] = defaultdict(NeighbourLists)

    def of_bank(self, name: str, bank: CentredBank, k: int) -> Neighbours:
        if len(bank.unit) <= self.update_above:
            return super().of_bank(name, bank, k)
        return self._lists[name].update(bank, k)


@NEIGHBOUR_SEARCHES.register(FaissSearch)
def _faiss(node: FaissSearch) -> NeighbourSearch:
    return FaissNeighbourSearch(node.index, node.probes)


def neighbour_search(propagate: PropagationConfig) -> NeighbourSearch:
    """New search of the neighbours in the graphs of a config."""
    node = propagate.neighbour_search
    return NeighbourSearch() if node is None else NEIGHBOUR_SEARCHES.build(node)

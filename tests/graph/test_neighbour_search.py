"""The search of a graph's neighbours is the one that its config names."""

from __future__ import annotations

import pytest

from gckd.config.component import PropagationConfig
from gckd.config.graph import Clusters, Diffusion, Gnn, NoPropagation
from gckd.config.neighbour_search import FaissSearch, TorchSearch
from gckd.graph.faiss_search import FaissNeighbourSearch
from gckd.graph.knn import NeighbourSearch
from gckd.graph.neighbour_search import UpdatedNeighbourSearch, neighbour_search


@pytest.mark.parametrize("kind", [Clusters, Diffusion, Gnn])
def test_search_of_a_graph(kind: type[Clusters | Diffusion | Gnn]) -> None:
    torch_search = neighbour_search(kind(search=TorchSearch(update_above=7)))
    assert isinstance(torch_search, UpdatedNeighbourSearch) and torch_search.update_above == 7
    faiss_search = neighbour_search(kind(search=FaissSearch(index="ivf", probes=3)))
    assert isinstance(faiss_search, FaissNeighbourSearch)


def test_a_config_without_a_graph_has_the_exact_search() -> None:
    node: PropagationConfig = NoPropagation()
    assert type(neighbour_search(node)) is NeighbourSearch

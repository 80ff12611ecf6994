"""Neighbours found with faiss: equal to those of exact search, or close to them for approximate search."""

from __future__ import annotations

import sys

import pytest
import torch

from gckd.errors import InputError
from gckd.graph.faiss_search import FaissNeighbourSearch
from gckd.graph.knn import nearest
from gckd.graph.propagation import GraphPropagation
from gckd.graph.statistics import recall
from tests.tensors import units

NODES = units(300, 8, seed=1).float()
EVERY = torch.arange(300)


@pytest.mark.parametrize(("queries", "senders"), [(EVERY, None), (torch.tensor([3, 0, 299]), None), (EVERY, 250)])
@pytest.mark.parametrize("k", [1, 10])
def test_flat_equals_exact_search(queries: torch.Tensor, senders: int | None, k: int) -> None:
    expected = nearest(NODES, queries, k, senders=senders)
    result = FaissNeighbourSearch("flat")(NODES, queries, k, senders)
    assert torch.equal(result.indices, expected.indices)
    torch.testing.assert_close(result.cosine, expected.cosine, atol=1e-6, rtol=0)


@pytest.mark.parametrize("index", ["flat", "ivf"])
def test_a_node_is_not_its_own_neighbour_but_its_copies_are(index: str) -> None:
    nodes = NODES.clone()
    nodes[:40] = nodes[0].clone()
    result = FaissNeighbourSearch(index)(nodes, EVERY, 5)
    assert not (result.indices == EVERY[:, None]).any()
    assert (result.indices[:40] < 40).all()


class ShortIndex:
    """An index whose lists have no other node."""

    def search(self, queries: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(len(queries), count), torch.full((len(queries), count), -1)


def test_a_node_without_enough_neighbours_in_its_lists_gets_exact_ones_among_the_senders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    search = FaissNeighbourSearch("ivf")
    monkeypatch.setattr(search, "_filled", lambda vectors: ShortIndex())
    result, exact = search(NODES, EVERY, 5, senders=250), nearest(NODES, EVERY, 5, senders=250)
    assert torch.equal(result.indices, exact.indices) and torch.equal(result.cosine, exact.cosine)
    assert (result.indices < 250).all()


def test_all_other_nodes_are_neighbours_of_the_largest_k() -> None:
    result = FaissNeighbourSearch("flat")(NODES, EVERY, 299)
    assert torch.equal(result.indices.sort(1).values, nearest(NODES, EVERY, 299).indices.sort(1).values)
    with pytest.raises(ValueError, match="K = 300 is outside its limit: < 300 nodes"):
        FaissNeighbourSearch("flat")(NODES, EVERY, 300)


def test_inverted_lists_have_high_recall_and_more_probes_a_higher_one() -> None:
    centres = units(200, 16, seed=2).float().repeat_interleave(20, 0)
    nodes = torch.nn.functional.normalize(centres + units(4000, 16, seed=3).float(), dim=1)
    every = torch.arange(4000)
    exact = nearest(nodes, every, 10).indices
    few, many = (recall(FaissNeighbourSearch("ivf", probes)(nodes, every, 10).indices, exact) for probes in (1, 40))
    assert few < many
    assert many > 0.95


def test_nodes_of_a_single_list_are_searched_without_a_warning(capfd: pytest.CaptureFixture[str]) -> None:
    """faiss writes to standard error itself if it makes lists of few entries."""
    result, exact = FaissNeighbourSearch("ivf")(NODES[:100], EVERY[:100], 5), nearest(NODES[:100], EVERY[:100], 5)
    assert torch.equal(result.indices, exact.indices)
    assert capfd.readouterr().err == ""


def test_nodes_with_too_few_results_get_their_exact_neighbours() -> None:
    """One list of at most some 64 entries is searched, for 200 neighbours."""
    result, exact = FaissNeighbourSearch("ivf", probes=1)(NODES, EVERY, 200), nearest(NODES, EVERY, 200)
    assert torch.equal(result.indices, exact.indices)


def test_propagation_with_faiss_equals_propagation_with_torch() -> None:
    inputs = torch.tensor([5, 250, 7])
    expected = GraphPropagation(k=4)(NODES, inputs)
    torch.testing.assert_close(GraphPropagation(k=4, search=FaissNeighbourSearch())(NODES, inputs), expected)


def test_a_missing_faiss_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match=r"^faiss is not installed; install gckd\[cpu\] or gckd\[gpu\]$"):
        FaissNeighbourSearch()(NODES, EVERY, 1)


class _PretendedGpuVectors:
    """Stand-in for vectors on a GPU."""

    is_cuda, shape, device = True, (4, 2), torch.device("cuda", 0)


def test_a_faiss_without_gpu_support_is_reported() -> None:
    with pytest.raises(InputError, match=r"no GPU support; install gckd\[gpu\] instead of gckd\[cpu\], or use graph"):
        FaissNeighbourSearch()._filled(_PretendedGpuVectors())  # type: ignore[arg-type]

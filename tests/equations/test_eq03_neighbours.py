"""Eq. 3: A = KNN(V, K) by cosine, exact."""

from __future__ import annotations

import math

import pytest
import torch

from gckd.graph.knn import nearest
from tests.tensors import units


def at_degrees(*angles: float) -> torch.Tensor:
    """Unit vectors [N, 2] at these angles."""
    return torch.tensor([[math.cos(math.radians(a)), math.sin(math.radians(a))] for a in angles])


def test_by_hand_on_the_circle() -> None:
    neighbours = nearest(at_degrees(0, 10, 30, 60, 180), torch.tensor([0, 2]), 2)
    assert neighbours.indices.tolist() == [[1, 2], [1, 3]]
    expected = [[math.cos(math.radians(a)) for a in row] for row in ((10, 30), (20, 30))]
    torch.testing.assert_close(neighbours.cosine, torch.tensor(expected))


@pytest.mark.parametrize("block", [1, 7, 1024])
@pytest.mark.parametrize("k", [1, 10, 39])
def test_equals_brute_force(k: int, block: int) -> None:
    nodes = units(40, 6, seed=1)
    queries = torch.tensor([3, 0, 39, 17, 17, 8, 21, 30])
    neighbours = nearest(nodes, queries, k, block)
    for row, query in enumerate(queries.tolist()):
        cosine = {node: float(nodes[query].dot(nodes[node])) for node in range(40) if node != query}
        expected = sorted(cosine, key=cosine.__getitem__, reverse=True)[:k]
        assert neighbours.indices[row].tolist() == expected
        assert neighbours.cosine[row].tolist() == pytest.approx([cosine[node] for node in expected])


def test_a_node_is_not_its_own_neighbour_but_its_copy_is() -> None:
    nodes = at_degrees(0, 90, 0)
    assert nearest(nodes, torch.tensor([0, 2]), 1).indices.tolist() == [[2], [0]]


def test_k_must_be_below_the_number_of_nodes() -> None:
    with pytest.raises(ValueError, match="K = 3 .* < 3 nodes"):
        nearest(at_degrees(0, 10, 20), torch.tensor([0]), 3)

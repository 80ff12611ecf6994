"""Weighted edges of a KNN graph, by hand on a circle and against dense matrices."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gckd.config.graph import Diffusion, EdgeRule, Gnn
from gckd.graph.edges import Edges, weighted_edges
from gckd.graph.knn import KnnIndex
from gckd.graph.reciprocal import overlap
from tests.dense import edge_weights
from tests.tensors import units

RULES = {
    "plain": EdgeRule(4, 0.1),
    "reciprocal": EdgeRule(4, 0.1, reciprocal=True),
    "threshold": EdgeRule(4, 0.1, threshold=0.6),
    "self-edge": EdgeRule(4, 0.5, self_edge=True),
    "relative": EdgeRule(4, 0.7, relative=True),
    "overlap": EdgeRule(4, 0.1, overlap=0.5),
    "all": EdgeRule(4, 0.5, reciprocal=True, threshold=0.4, self_edge=True, relative=True, overlap=0.4),
}


def on_circle(*degrees: float) -> Tensor:
    """Unit vectors [N, 2] at these angles."""
    return torch.tensor([[math.cos(math.radians(d)), math.sin(math.radians(d))] for d in degrees], dtype=torch.float64)


def matrix(edges: Edges, count: int) -> Tensor:
    """Dense weights [n, N]."""
    weights = torch.zeros(len(edges.senders), count, dtype=edges.weights.dtype)
    return weights.scatter_add_(1, edges.senders, edges.weights)


@pytest.mark.parametrize("penalised", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_equal_dense_matrices(name: str, penalised: bool) -> None:
    nodes, receivers = units(60, 6, seed=1), torch.tensor([59, 3, 17, 3])
    penalties = units(1, 60, seed=2)[0].abs() * 10 if penalised else None
    expected = edge_weights(nodes, RULES[name], penalties=penalties)
    every = weighted_edges(KnnIndex(nodes), None, RULES[name], penalties)
    torch.testing.assert_close(matrix(every, 60), expected)
    some = weighted_edges(KnnIndex(nodes), receivers, RULES[name], penalties)
    torch.testing.assert_close(matrix(some, 60), expected[receivers])


def test_a_node_without_reciprocal_neighbours_keeps_its_own_signal() -> None:
    """Nodes 0 and 1 are each other's nearest; the nearest of node 2 is node 1, which does not return it."""
    edges = weighted_edges(KnnIndex(on_circle(0, 10, 40)), None, EdgeRule(1, 0.1, reciprocal=True))
    assert edges.senders.tolist() == [[1], [0], [2]]
    assert edges.weights.tolist() == [[1.0], [1.0], [1.0]]


def test_images_of_two_groups_that_touch_are_kept_apart() -> None:
    """Nodes 1 and 2 are neighbours of each other, but have two of four reciprocal neighbours in common.

    Reciprocal sets: 0: {0, 1}; 1: {0, 1, 2}; 2: {1, 2, 3}; 3: {2, 3}. So the overlap of 0 and 1 is 2/3, of 1 and 2 1/2.
    """
    index = KnnIndex(on_circle(0, 10, 21, 31))
    assert index.neighbours(2).indices.tolist() == [[1, 2], [0, 2], [3, 1], [2, 1]]
    expected = [[2 / 3, 0.0], [2 / 3, 0.5], [2 / 3, 0.5], [2 / 3, 0.0]]
    torch.testing.assert_close(overlap(index, 2), torch.tensor(expected))
    near = math.exp((math.cos(math.radians(10)) - math.cos(math.radians(21))) / 0.1)
    own, other = 1 / (near + 1), near / (near + 1)  # node 0: the weight of node 2, at 21 degrees, goes back to it
    weights = matrix(weighted_edges(index, None, EdgeRule(2, 0.1, overlap=0.6)), 4)
    torch.testing.assert_close(weights[0], torch.tensor([own, other, 0, 0], dtype=torch.float64))
    for least, linked in ((0.5, {1: {0, 2}, 2: {1, 3}}), (0.6, {1: {0, 1}, 2: {2, 3}})):
        weights = matrix(weighted_edges(index, torch.tensor([1, 2]), EdgeRule(2, 0.1, overlap=least)), 4)
        assert [set(row.nonzero().flatten().tolist()) for row in weights] == [linked[1], linked[2]]


def test_dropped_edges_share_their_weight_among_the_others() -> None:
    """cos 60 = 0.5: the edges between nodes 0 and 2 are below the threshold."""
    edges = weighted_edges(KnnIndex(on_circle(0, 30, 60)), None, EdgeRule(2, 0.1, threshold=0.6))
    expected = torch.tensor([[0, 1, 0], [0.5, 0, 0.5], [0, 1, 0]], dtype=torch.float64)
    torch.testing.assert_close(matrix(edges, 3), expected)


def test_an_edge_at_the_threshold_counts() -> None:
    nodes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    edges = weighted_edges(KnnIndex(nodes), torch.tensor([0]), EdgeRule(2, 1.0, threshold=0.0))
    assert matrix(edges, 3).tolist() == [[0.0, 1.0, 0.0]]


def test_kept_neighbours_of_some_nodes_equal_a_search() -> None:
    nodes, some = units(30, 4, seed=1), torch.tensor([4, 29, 4])
    index = KnnIndex(nodes)
    searched = index.neighbours_of(some, 3)
    index.neighbours(3)  # of all nodes, which the index keeps
    selected = index.neighbours_of(some, 3)
    assert torch.equal(selected.indices, searched.indices)
    torch.testing.assert_close(selected.cosine, searched.cosine)


def test_a_self_edge_keeps_the_signal_of_a_node_far_from_the_others() -> None:
    nodes, rule = on_circle(0, 5, 120), EdgeRule(1, 0.2, self_edge=True)
    own = matrix(weighted_edges(KnnIndex(nodes), None, rule), 3).diagonal()
    expected = [1 / (1 + math.exp((math.cos(math.radians(d)) - 1) / 0.2)) for d in (5, 5, 115)]
    torch.testing.assert_close(own, torch.tensor(expected, dtype=torch.float64))
    assert own[2] > 0.99


@pytest.mark.parametrize("degrees", [25, 45])
def test_an_item_that_only_receives_competes_with_the_kth_neighbour_of_a_sender(degrees: float) -> None:
    """The item is nearest to node 1, at 10 degrees, whose own nearest is at a distance of 20 degrees."""
    index = KnnIndex(on_circle(-10, 10, 180, degrees), senders=3)
    edges = weighted_edges(index, torch.tensor([3]), EdgeRule(1, 0.1, reciprocal=True))
    assert edges.senders.tolist() == [[1 if degrees - 10 < 20 else 3]]


def test_copies_of_a_node_get_all_of_its_relative_weights() -> None:
    """Nodes 0, 1 and 2 are equal, so that their nearest distance is 0; node 3 is 10 degrees away."""
    nodes, rule = on_circle(0, 0, 0, 10), EdgeRule(3, 1.0, relative=True)
    weights = matrix(weighted_edges(KnnIndex(nodes), None, rule), 4)
    expected = torch.tensor([0, 0.5, 0.5, 0], dtype=torch.float64)
    torch.testing.assert_close(weights[0], expected)
    torch.testing.assert_close(weights[3], torch.tensor([1, 1, 1, 0], dtype=torch.float64) / 3)


def test_the_rule_has_the_options_of_the_config() -> None:
    options = {"k": 7, "temperature": 0.3, "reciprocal": True, "threshold": 0.2, "self_edge": True, "relative": True}
    assert Gnn(**options).edge_rule == Diffusion(**options).edge_rule == EdgeRule(**options)
    assert not Gnn().edge_rule.drops_edges and Gnn().edge_rule == EdgeRule(10, 0.05)

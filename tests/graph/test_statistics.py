"""Hubs and parts of a graph against scipy and networkx, and where the answer is known."""

from __future__ import annotations

import networkx
import pytest
import torch
from scipy.stats import skew

from gckd.graph.knn import nearest
from gckd.graph.statistics import components, hubness


def random_graph(seed: int, nodes: int = 40, k: int = 3) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    points = torch.nn.functional.normalize(torch.randn(nodes, 6, generator=random), dim=1)
    return nearest(points, torch.arange(nodes), k).indices


@pytest.mark.parametrize("seed", range(3))
def test_hubness_is_scipys_skewness_of_counts(seed: int) -> None:
    index = random_graph(seed)
    counts = [int((index == node).sum()) for node in range(len(index))]
    assert hubness(index) == pytest.approx(skew(counts))


def test_a_ring_has_no_hubs_and_a_star_has_one() -> None:
    ring = (torch.arange(5)[:, None] + 1) % 5
    star = torch.tensor([[1], [0], [0], [0], [0]])  # in-degrees 4, 1, 0, 0, 0: mean 1, variance 2.4, third moment 4.8
    assert hubness(ring) == 0
    assert hubness(star) == pytest.approx(4.8 / 2.4**1.5)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_components_against_networkx(k: int) -> None:
    index = random_graph(7, nodes=60, k=k)
    graph = networkx.DiGraph([(i, int(j)) for i, row in enumerate(index) for j in row])
    assert components(index) == networkx.number_weakly_connected_components(graph)


def test_pairs_that_only_see_each_other_are_parts() -> None:
    assert components(torch.tensor([[1], [0], [3], [2], [0]])) == 2

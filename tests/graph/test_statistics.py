"""Statistics equal scipy's, networkx's and numpy's, and have known values on simple graphs."""

from __future__ import annotations

import networkx
import numpy as np
import pytest
import torch
from scipy.stats import skew

from gckd.graph.knn import nearest
from gckd.graph.statistics import components, effective_rank, hubness, recall


def random_neighbours(seed: int, nodes: int = 40, k: int = 3) -> torch.Tensor:
    """Neighbours [N, K] in the KNN graph of random unit vectors."""
    random = torch.Generator().manual_seed(seed)
    points = torch.nn.functional.normalize(torch.randn(nodes, 6, generator=random), dim=1)
    return nearest(points, torch.arange(nodes), k).indices


@pytest.mark.parametrize("seed", range(3))
def test_hubness_equals_the_skewness_of_scipy(seed: int) -> None:
    neighbours = random_neighbours(seed)
    in_degrees = [int((neighbours == node).sum()) for node in range(len(neighbours))]
    assert hubness(neighbours) == pytest.approx(skew(in_degrees))


def test_hubness_of_a_ring_and_a_star() -> None:
    ring = (torch.arange(5)[:, None] + 1) % 5
    star = torch.tensor([[1], [0], [0], [0], [0]])  # in-degrees 4, 1, 0, 0, 0: mean 1, variance 2.4, third moment 4.8
    assert hubness(ring) == 0
    assert hubness(star) == pytest.approx(4.8 / 2.4**1.5)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_components_equal_those_of_networkx(k: int) -> None:
    neighbours = random_neighbours(7, nodes=60, k=k)
    graph = networkx.DiGraph([(i, int(j)) for i, row in enumerate(neighbours) for j in row])
    assert components(neighbours) == networkx.number_weakly_connected_components(graph)


def test_separate_pairs_are_separate_components() -> None:
    assert components(torch.tensor([[1], [0], [3], [2], [0]])) == 2


@pytest.mark.parametrize("shape", [(30, 5), (5, 30)])
def test_effective_rank_equals_numpy(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    p = np.linalg.svd(x, compute_uv=False)
    p /= p.sum()
    assert effective_rank(torch.from_numpy(x)) == pytest.approx(np.exp(-(p * np.log(p)).sum()))


def test_effective_rank_of_known_matrices() -> None:
    assert effective_rank(torch.eye(6)) == pytest.approx(6)
    assert effective_rank(torch.ones(9, 4)) == pytest.approx(1, abs=1e-6)
    assert effective_rank(torch.zeros(9, 4)) == pytest.approx(1)


def test_recall_by_hand() -> None:
    """Both of (1, 2) are found, in another order; one of (3, 4)."""
    assert recall(torch.tensor([[2, 1], [5, 3]]), torch.tensor([[1, 2], [3, 4]])) == 0.75

"""Eq. 4 by pseudo identities: clusters by loops over sets, and shared similarities against dense matrices."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.graph import Clusters
from gckd.graph.clustered import ClusteredSimilarity
from gckd.graph.clusters import clusters, jaccard_distances, reciprocal_sets
from gckd.graph.knn import KnnIndex
from gckd.graph.similarity import BankPair, DirectSimilarity, RetrievalDirection
from tests.tensors import units

T = 0.2
POSITIONS = torch.tensor([49, 3, 17, 30, 3])


def sets_by_loops(nodes: Tensor, k: int) -> list[set[int]]:
    """k-reciprocal neighbours of each node, itself included."""
    cosine = (nodes @ nodes.T).fill_diagonal_(-torch.inf)
    nearest = [set(row[:k]) for row in cosine.argsort(1, descending=True).tolist()]
    return [{i} | {j for j in nearest[i] if i in nearest[j]} for i in range(len(nodes))]


def distances(nodes: Tensor, k: int) -> list[list[float]]:
    sets = sets_by_loops(nodes, k)
    return [[1 - len(one & two) / len(one | two) for two in sets] for one in sets]


def partition(labels: Tensor) -> set[frozenset[int]]:
    """Clusters as sets of nodes."""
    return {frozenset((labels == number).nonzero().flatten().tolist()) for number in labels.unique().tolist()}


def test_jaccard_distances_by_loops() -> None:
    nodes = units(40, 5, seed=1)
    sparse = jaccard_distances(reciprocal_sets(KnnIndex(nodes), 6))
    dense = np.ones(sparse.shape)
    dense[sparse.tocoo().coords] = sparse.tocoo().data
    np.testing.assert_allclose(dense, distances(nodes, 6), atol=1e-12)


@pytest.mark.parametrize("eps", [0.3, 0.55, 0.7])
@pytest.mark.parametrize("k", [3, 6])
def test_two_samples_make_clusters_of_connected_components(k: int, eps: float) -> None:
    nodes = units(60, 4, seed=2)
    graph = nx.Graph()
    graph.add_nodes_from(range(60))
    for i, row in enumerate(distances(nodes, k)):
        graph.add_edges_from((i, j) for j, distance in enumerate(row) if distance <= eps)
    labels = clusters(KnnIndex(nodes), k, eps, min_samples=2)
    assert partition(labels) == {frozenset(component) for component in nx.connected_components(graph)}
    assert sorted(labels.unique().tolist()) == list(range(int(labels.max()) + 1))


def test_more_samples_by_loops() -> None:
    """Cores that are adjacent share a cluster; other nodes join an adjacent core, or are by themselves."""
    nodes, eps, least = units(60, 4, seed=2), 0.6, 5
    adjacent = [{j for j, distance in enumerate(row) if distance <= eps} for row in distances(nodes, 6)]
    cores = {i for i in range(60) if len(adjacent[i]) >= least}
    labels = clusters(KnnIndex(nodes), 6, eps, least).tolist()
    graph = nx.Graph((i, j) for i in cores for j in adjacent[i] & cores)
    assert 0 < len(cores) < 60
    of_cores = partition(torch.tensor([labels[i] if i in cores else -1 for i in range(60)])) - {
        frozenset(set(range(60)) - cores)
    }
    assert of_cores == {frozenset(component) for component in nx.connected_components(graph)}
    for i in set(range(60)) - cores:
        around = {labels[j] for j in adjacent[i] & cores}
        assert labels[i] in around if around else labels.count(labels[i]) == 1


def test_identical_sets_are_at_distance_0_and_share_a_cluster() -> None:
    nodes = F.normalize(torch.tensor([[1, 0.1, 0], [1, -0.1, 0], [0, 1, 0.1], [0, 1, -0.1], [0.6, 0.6, 3]]))
    labels = clusters(KnnIndex(nodes), 1, eps=0.01, min_samples=2)
    assert labels.tolist() == [0, 0, 1, 1, 2]


def averaging(nodes: Tensor, config: Clusters) -> Tensor:
    """Dense [N, N]: row i holds 1 / size of the cluster of i at its members."""
    labels = clusters(KnnIndex(nodes), config.k, config.eps, config.min_samples)
    same = (labels[:, None] == labels[None, :]).to(nodes)
    mean = same / same.sum(1, keepdim=True)
    return config.residual * torch.eye(len(nodes), dtype=nodes.dtype) + (1 - config.residual) * mean


@pytest.mark.parametrize("residual", [0.0, 0.3])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("images", "texts"), [(True, False), (False, True), (True, True)])
def test_equals_dense_matrices(images: bool, texts: bool, reverse: bool, residual: float) -> None:
    both = BankPair(units(50, 4, seed=1), units(70, 4, seed=2))
    pair = both.reversed() if reverse else both
    config = Clusters(k=5, images=images, texts=texts, residual=residual)
    queries, keys = pair.query_bank.embeddings, pair.key_bank.embeddings
    left, right = (averaging(nodes, config) for nodes in (queries, keys))
    assert len(left.unique()) > 1 and len(right.unique()) > 1
    of_queries, of_keys = (texts, images) if reverse else (images, texts)
    direction, scores = RetrievalDirection(queries[POSITIONS], POSITIONS, pair), queries @ keys.T / T
    expected = []
    for dim in (1, 0):
        signal = scores.softmax(dim)
        signal = left @ signal if of_queries else signal
        expected.append((signal @ right.T if of_keys else signal)[POSITIONS])
    similarity = ClusteredSimilarity(config)
    torch.testing.assert_close(similarity(direction, T, agree=False), expected[0])
    torch.testing.assert_close(similarity(direction, T, agree=True), expected[0] * expected[1])


def test_residual_1_equals_no_graph() -> None:
    queries, keys = units(50, 4, seed=1), units(70, 4, seed=2)
    direction = RetrievalDirection(queries[:5], torch.arange(5), BankPair(queries, keys))
    config = Clusters(k=5, residual=1.0, texts=True)
    for agree in (False, True):
        similarity = ClusteredSimilarity(config)(direction, T, agree)
        torch.testing.assert_close(similarity, DirectSimilarity()(direction, T, agree))


def test_images_of_a_cluster_share_their_captions() -> None:
    """Three images of one person and two of another; the captions of both stay apart."""
    e = torch.eye(6)
    images = F.normalize(
        torch.stack([e[0] + 0.3 * e[2], e[0] + 0.3 * e[3], e[0] + 0.3 * e[4], e[1], e[1] + 0.1 * e[5]])
    )
    texts = F.normalize(torch.stack([e[0] + e[2], e[0], e[1]]))
    pair, similarity = BankPair(images, texts), ClusteredSimilarity(Clusters(k=2, texts=False, residual=0.0))
    to_texts = similarity(RetrievalDirection(images, torch.arange(5), pair), 0.1, agree=False)
    torch.testing.assert_close(to_texts[0], to_texts[2])
    torch.testing.assert_close(to_texts[3], to_texts[4])
    to_images = similarity(RetrievalDirection(texts, torch.arange(3), pair.reversed()), 0.1, agree=False)
    torch.testing.assert_close(to_images[:, :3], to_images[:, :1].expand(-1, 3))
    torch.testing.assert_close(to_images.sum(1), torch.ones(3))

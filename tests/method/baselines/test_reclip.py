"""Label propagation against dense algebra in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gckd.config.distill import PropagatedLabels
from gckd.graph.similarity import BankPair, RetrievalDirection
from gckd.method.baselines.reclip import LabelPropagation, affinity, projection, solve_propagation
from tests.tensors import units

Array = NDArray[np.float64]


def dense_affinity(nodes: Array, k: int) -> Array:
    """ReCLIP's own steps: (1 + cosine) / 2 of the K nearest, made symmetric, normalised by degrees."""
    scores = (1 + nodes @ nodes.T) / 2
    np.fill_diagonal(scores, 0)
    nearest = np.zeros_like(scores)
    for row, values in enumerate(scores):
        for column in np.argsort(-values)[:k]:
            nearest[row, column] = values[column]
    symmetric = (nearest + nearest.T) / 2
    degree = symmetric.sum(1)
    return np.asarray(symmetric / np.sqrt(degree[:, None] * degree[None, :]))


def dense_projection(labels: Array, rank: int) -> Array:
    common = labels.mean(0) / np.linalg.norm(labels.mean(0))
    rest = labels - np.outer(labels @ common, common)
    values, vectors = np.linalg.eigh(rest.T @ rest)
    leading = vectors[:, np.argsort(-values)[:rank]]
    return np.asarray(leading @ leading.T)


def dense_labels(labels: Array, others: Array, config: PropagatedLabels) -> list[int]:
    """Label of each of the other entries, by propagation from all labels at once."""
    nodes = np.concatenate((labels, others)) @ dense_projection(labels, config.rank)
    nodes /= np.linalg.norm(nodes, axis=1, keepdims=True)
    weights = dense_affinity(nodes, config.k)
    seeds = np.eye(len(nodes))[:, : len(labels)]
    propagated = np.linalg.solve(np.eye(len(nodes)) - config.alpha * weights, seeds)
    return [int(i) for i in propagated[len(labels) :].argmax(1)]


def test_affinity_equals_dense_algebra() -> None:
    nodes = units(12, 5, seed=3)
    weights = affinity(nodes, 3).times(torch.eye(12, dtype=torch.float64))
    np.testing.assert_allclose(weights.numpy(), dense_affinity(nodes.numpy(), 3), atol=1e-12)


def test_conjugate_gradients_solve_the_system() -> None:
    weights = affinity(units(15, 5, seed=3), 4)
    seeds = torch.eye(15, dtype=torch.float64)[:, [2, 9]]
    dense = weights.times(torch.eye(15, dtype=torch.float64))
    expected = torch.linalg.solve(torch.eye(15, dtype=torch.float64) - 0.99 * dense, seeds)
    torch.testing.assert_close(solve_propagation(weights, seeds, 0.99), expected)


def test_the_projection_removes_the_mean_and_has_its_rank() -> None:
    labels = units(20, 6, seed=4) + 0.5
    matrix = projection(labels, 3)
    np.testing.assert_allclose(matrix.numpy(), dense_projection(labels.numpy(), 3), atol=1e-10)
    torch.testing.assert_close(matrix @ matrix, matrix)
    torch.testing.assert_close(matrix @ labels.mean(0), torch.zeros(6, dtype=torch.float64))
    assert float(matrix.trace()) == pytest.approx(3)


@pytest.mark.parametrize("rank", [3, 250])
@pytest.mark.parametrize("turned", [False, True])
def test_agreed_labels_equal_dense_algebra(rank: int, turned: bool) -> None:
    config = PropagatedLabels(k=4, alpha=0.9, rank=rank)
    banks = BankPair(units(11, 6, seed=5), units(13, 6, seed=6))
    banks = banks.reversed() if turned else banks
    queries, keys = banks.query_bank.embeddings.numpy(), banks.key_bank.embeddings.numpy()
    positions = torch.arange(len(queries)).flip(0)
    direction = RetrievalDirection(banks.query_bank.embeddings[positions], positions, banks)
    labels = LabelPropagation(config).labels(direction, 0.1)
    label_of, reverse = dense_labels(keys, queries, config), dense_labels(queries, keys, config)
    expected = np.zeros((len(queries), len(keys)))
    for row, entry in enumerate(positions.tolist()):
        expected[row, label_of[entry]] = float(reverse[label_of[entry]] == entry)
    assert 0 < expected.sum() < len(queries)
    np.testing.assert_array_equal(labels.numpy(), expected)


def test_k_is_capped_by_the_nodes_and_both_directions_share_graphs() -> None:
    """K = 20 of 5 nodes."""
    labeller, banks = LabelPropagation(PropagatedLabels()), BankPair(units(2, seed=1).float(), units(3, seed=2).float())
    for pair in (banks, banks.reversed()):
        labels = labeller.labels(
            RetrievalDirection(pair.query_bank.embeddings, torch.arange(len(pair.query_bank)), pair), 0.1
        )
        assert bool(torch.isfinite(labels).all()) and labels.shape == (len(pair.query_bank), len(pair.key_bank))
    assert len(labeller._graphs) == 2

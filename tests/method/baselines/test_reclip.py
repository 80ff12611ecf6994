"""Label propagation against dense algebra in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gckd.config.distill import PropagatedLabels
from gckd.graph.similarity import BankPair, RetrievalDirection
from gckd.method.baselines.reclip import LabelPropagation, affinity, projection, propagated
from tests.method.cases import units

Array = NDArray[np.float64]


def dense_affinity(nodes: Array, k: int) -> Array:
    """As ReCLIP builds it: (1 + cosine) / 2 of the K nearest, made symmetric, normalised by degrees."""
    scores = (1 + nodes @ nodes.T) / 2
    np.fill_diagonal(scores, 0)
    kept = np.zeros_like(scores)
    for row, values in enumerate(scores):
        for column in np.argsort(-values)[:k]:
            kept[row, column] = values[column]
    both = (kept + kept.T) / 2
    degree = both.sum(1)
    return np.asarray(both / np.sqrt(degree[:, None] * degree[None, :]))


def dense_projection(labels: Array, rank: int) -> Array:
    common = labels.mean(0) / np.linalg.norm(labels.mean(0))
    rest = labels - np.outer(labels @ common, common)
    values, vectors = np.linalg.eigh(rest.T @ rest)
    kept = vectors[:, np.argsort(-values)[:rank]]
    return np.asarray(kept @ kept.T)


def labels_of(labels: Array, others: Array, config: PropagatedLabels) -> list[int]:
    """The label that propagation from all labels at once gives each of the others."""
    nodes = np.concatenate((labels, others)) @ dense_projection(labels, config.rank)
    nodes /= np.linalg.norm(nodes, axis=1, keepdims=True)
    weights = dense_affinity(nodes, config.k)
    seeds = np.eye(len(nodes))[:, : len(labels)]
    spread = np.linalg.solve(np.eye(len(nodes)) - config.alpha * weights, seeds)
    return [int(i) for i in spread[len(labels) :].argmax(1)]


def test_affinity_against_dense() -> None:
    nodes = units(12, 5, seed=3)
    found = affinity(nodes, 3).times(torch.eye(12, dtype=torch.float64))
    np.testing.assert_allclose(found.numpy(), dense_affinity(nodes.numpy(), 3), atol=1e-12)


def test_conjugate_gradients_solve() -> None:
    weights = affinity(units(15, 5, seed=3), 4)
    seeds = torch.eye(15, dtype=torch.float64)[:, [2, 9]]
    dense = weights.times(torch.eye(15, dtype=torch.float64))
    wanted = torch.linalg.solve(torch.eye(15, dtype=torch.float64) - 0.99 * dense, seeds)
    torch.testing.assert_close(propagated(weights, seeds, 0.99), wanted)


def test_the_projection_keeps_what_tells_labels_apart() -> None:
    labels = units(20, 6, seed=4) + 0.5
    found = projection(labels, 3)
    np.testing.assert_allclose(found.numpy(), dense_projection(labels.numpy(), 3), atol=1e-10)
    torch.testing.assert_close(found @ found, found)
    torch.testing.assert_close(found @ labels.mean(0), torch.zeros(6, dtype=torch.float64))
    assert float(found.trace()) == pytest.approx(3)


@pytest.mark.parametrize("rank", [3, 250])
@pytest.mark.parametrize("turned", [False, True])
def test_agreement_against_dense(rank: int, turned: bool) -> None:
    config = PropagatedLabels(k=4, alpha=0.9, rank=rank)
    banks = BankPair(units(11, 6, seed=5), units(13, 6, seed=6))
    banks = banks.turned() if turned else banks
    own, keys = banks.own.embeddings.numpy(), banks.keys.embeddings.numpy()
    place = torch.arange(len(own)).flip(0)
    found = LabelPropagation(config)(RetrievalDirection(banks.own.embeddings[place], place, banks), 0.1)
    chosen, back = labels_of(keys, own, config), labels_of(own, keys, config)
    wanted = np.zeros((len(own), len(keys)))
    for row, entry in enumerate(place.tolist()):
        wanted[row, chosen[entry]] = float(back[chosen[entry]] == entry)
    assert 0 < wanted.sum() < len(own)
    np.testing.assert_array_equal(found.numpy(), wanted)


def test_few_nodes_are_all_neighbours() -> None:
    """K = 20 of 5 nodes; and both directions of a step share their two graphs."""
    made, banks = LabelPropagation(PropagatedLabels()), BankPair(units(2, seed=1).float(), units(3, seed=2).float())
    for side in (banks, banks.turned()):
        place: Tensor = torch.arange(len(side.own))
        found = made(RetrievalDirection(side.own.embeddings, place, side), 0.1)
        assert bool(torch.isfinite(found).all()) and found.shape == (len(side.own), len(side.keys))
    assert len(made._views) == 2

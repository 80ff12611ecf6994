"""ReCLIP: label propagation over images and captions, in two views that have to agree."""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.distill import PropagatedLabels
from gckd.graph.knn import nearest
from gckd.graph.similarity import RetrievalDirection
from gckd.graph.subgraph import Nodes

ITERATIONS = 20  # of conjugate gradients, as in ReCLIP


class Affinity(NamedTuple):
    """A sparse symmetric matrix W [n, n], row by row."""

    columns: Tensor  # [E]
    values: Tensor  # [E]
    starts: Tensor  # [n], of each row in the other two

    def times(self, x: Tensor) -> Tensor:
        """W x, [n, B]."""
        return F.embedding_bag(self.columns, x, self.starts, per_sample_weights=self.values, mode="sum")


class View(NamedTuple):
    """A graph of the labels' bank and, behind it, the other bank."""

    weights: Affinity
    labels: int  # nodes that are labels


class LabelPropagation:
    """One-hot at the label that propagation gives a query, where the label's own view gives it the query.

    Each bank holds the labels of the other one's entries. In the view of the labels, F = (I - alpha W)^-1 Y carries
    them over the graph of both banks (Zhou et al., "Learning with local and global consistency", NIPS 2003), whose
    features are projected on what tells the labels apart (`projection`). W is symmetric, so that the labels of B
    queries are the rows of B solutions, whatever the number of labels.

    Source: Hu et al., "ReCLIP: Refine contrastive language image pre-training with source free domain adaptation",
    WACV 2024 (K = 20, alpha = 0.99, 250 directions). Ours, for retrieval has no class names: every bank entry is a
    label of its own; the two models that have to agree (one with text, one with image prototypes) are two views of one
    teacher, projected by captions and by images; the graph is of the banks as they are at a step, not of the whole
    split once an epoch; and the source terms stay.
    """

    def __init__(self, config: PropagatedLabels) -> None:
        self.config = config
        self._views: WeakKeyDictionary[Nodes, View] = WeakKeyDictionary()  # both directions of a step ask for both

    @torch.no_grad()
    def __call__(self, side: RetrievalDirection, tau: float) -> Tensor:
        own, keys = side.banks.own, side.banks.keys
        label = self._labels(self._view(keys, own), side.place)
        agreed = self._labels(self._view(own, keys), label) == side.place
        return F.one_hot(label, len(keys)).to(side.queries.dtype) * agreed[:, None]

    def _view(self, labels: Nodes, others: Nodes) -> View:
        if labels not in self._views:
            k, rank = self.config.k, self.config.rank
            nodes = torch.cat((labels.embeddings, others.embeddings)) @ projection(labels.embeddings, rank)
            self._views[labels] = View(affinity(F.normalize(nodes, dim=1), min(k, len(nodes) - 1)), len(labels))
        return self._views[labels]

    def _labels(self, view: View, entries: Tensor) -> Tensor:
        """The label [B] of each of the other bank's entries [B]."""
        weights, each = view.weights, torch.arange(len(entries), device=entries.device)
        seeds = torch.zeros(len(weights.starts), len(entries), dtype=weights.values.dtype)
        seeds[entries + view.labels, each] = 1
        return propagated(weights, seeds, self.config.alpha)[: view.labels].argmax(0)


def projection(labels: Tensor, rank: int) -> Tensor:
    """[d, d]: onto the (at most) `rank` leading singular directions of the labels [N, d] beside their mean direction.

    ReCLIP takes off the first singular direction, which is what all class names have in common; of embeddings without
    their mean (`centre`) it is a difference like any other, so that ours takes off the mean itself.
    """
    common = F.normalize(labels.mean(0), dim=0)
    rest = labels - (labels @ common)[:, None] * common
    directions: Tensor = torch.linalg.svd(rest, full_matrices=False).Vh[:rank]
    return directions.T @ directions


def affinity(nodes: Tensor, k: int) -> Affinity:
    """D^-1/2 W D^-1/2 of unit vectors [n, d]: W = (A + A^T) / 2, A = (1 + cosine) / 2 at a node's K nearest."""
    every = torch.arange(len(nodes), device=nodes.device)
    near = nearest(nodes, every, k)
    edges, half = torch.stack((every.repeat_interleave(k), near.index.flatten())), (1 + near.cosine.flatten()) / 4
    degree = torch.zeros(len(nodes), dtype=nodes.dtype).index_add(0, edges.flatten(), half.repeat(2))
    scale = degree.clamp(min=torch.finfo(nodes.dtype).tiny).rsqrt()
    values = half * scale[edges[0]] * scale[edges[1]]
    row, column = torch.cat((edges, edges.flip(0)), 1)
    row, order = row.sort(stable=True)
    return Affinity(column[order], values.repeat(2)[order], torch.searchsorted(row, every))


def propagated(weights: Affinity, seeds: Tensor, alpha: float) -> Tensor:
    """(I - alpha W)^-1 Y for Y [n, B], by conjugate gradients."""
    tiny = torch.finfo(seeds.dtype).tiny
    found, residual, direction = torch.zeros_like(seeds), seeds, seeds
    size = residual.square().sum(0)
    for _ in range(ITERATIONS):
        image = direction - alpha * weights.times(direction)
        step = size / (direction * image).sum(0).clamp(min=tiny)
        found, residual = found + step * direction, residual - step * image
        before, size = size, residual.square().sum(0)
        direction = residual + size / before.clamp(min=tiny) * direction
    return found

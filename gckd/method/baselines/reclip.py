"""ReCLIP: label propagation over images and captions, in two graphs that must agree."""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.distill import PropagatedLabels
from gckd.graph.knn import KnnIndex, nearest
from gckd.graph.similarity import RetrievalDirection, Similarity
from gckd.method.pseudo_labels import TARGETS, PseudoLabelLoss

ITERATIONS = 20  # of conjugate gradients, as in ReCLIP


class SparseSymmetric(NamedTuple):
    """Sparse symmetric matrix W [n, n] with E entries, in compressed rows."""

    columns: Tensor  # [E]
    values: Tensor  # [E]
    starts: Tensor  # [n] first entry of each row

    def times(self, x: Tensor) -> Tensor:
        """W x, [n, B]."""
        return F.embedding_bag(self.columns, x, self.starts, per_sample_weights=self.values, mode="sum")


class LabelGraph(NamedTuple):
    """Graph over both target banks; the first `labels` nodes are the entries of the bank that are the labels."""

    weights: SparseSymmetric
    labels: int


class LabelPropagation:
    """One-hot labels by label propagation, where the graphs of both modalities agree.

        F = (I - alpha W)^-1 Y

    Every entry of a bank is a label for the entries of the other bank. Y is one-hot at the labels and W the normalised
    affinity of the K nearest neighbours over both banks (`affinity`), after a projection to the directions in which the
    labels differ (`projection`). A query keeps its label if propagation in the graph of the queries' modality assigns
    the query to that label in turn. W is symmetric, so the labels of B queries take B solutions, whatever the number
    of labels.

    Args:
        node: K, alpha and the rank of the projection.

    Shapes:
        queries [B, d], keys [N, d] -> labels [B, N]; rows of queries without agreement are zero.

    Source: Hu et al., "ReCLIP: Refine contrastive language image pre-training with source free domain adaptation", WACV
    2024, with K = 20, alpha = 0.99 and 250 directions; label propagation after Zhou et al., "Learning with local and
    global consistency", NIPS 2003.

    Differences from the paper: retrieval has no class names, so every bank entry is its own label. The two models that
    must agree (one with text prototypes, one with image prototypes) are two projections of one teacher's embeddings, by
    captions and by images. The graph covers the banks at each step, not the whole split once per epoch. The source
    terms remain.
    """

    def __init__(self, node: PropagatedLabels) -> None:
        self.node = node
        # Both directions of a step use the same two graphs.
        self._graphs: WeakKeyDictionary[KnnIndex, LabelGraph] = WeakKeyDictionary()

    @torch.no_grad()
    def labels(self, direction: RetrievalDirection, tau: float) -> Tensor:
        queries, keys = direction.banks.query_bank, direction.banks.key_bank
        label = self._propagate(self._graph(keys, queries), direction.positions)
        agreed = self._propagate(self._graph(queries, keys), label) == direction.positions
        return F.one_hot(label, len(keys)).to(direction.queries.dtype) * agreed[:, None]

    def _graph(self, labels: KnnIndex, entries: KnnIndex) -> LabelGraph:
        if labels not in self._graphs:
            k, rank = self.node.k, self.node.rank
            nodes = torch.cat((labels.embeddings, entries.embeddings)) @ projection(labels.embeddings, rank)
            weights = affinity(F.normalize(nodes, dim=1), min(k, len(nodes) - 1))
            self._graphs[labels] = LabelGraph(weights, len(labels))
        return self._graphs[labels]

    def _propagate(self, graph: LabelGraph, entries: Tensor) -> Tensor:
        """Label [B] of each of the other bank's entries [B]."""
        weights, batch = graph.weights, torch.arange(len(entries), device=entries.device)
        seeds = torch.zeros(len(weights.starts), len(entries), dtype=weights.values.dtype)
        seeds[entries + graph.labels, batch] = 1
        return solve_propagation(weights, seeds, self.node.alpha)[: graph.labels].argmax(0)


@TARGETS.register(PropagatedLabels)
def _propagated_labels(node: PropagatedLabels, similarity: Similarity) -> PseudoLabelLoss:
    return PseudoLabelLoss(LabelPropagation(node))


def projection(labels: Tensor, rank: int) -> Tensor:
    """Orthogonal projection [d, d] to the leading singular directions of the labels, without their mean direction.

    Args:
        labels: [N, d] unit embeddings.
        rank: directions to keep, at most.

    Differences from ReCLIP: it removes the first singular direction, which holds what all class names have in common.
    Embeddings without their mean (`centre`) have nothing in common, so the mean direction itself is removed.
    """
    common = F.normalize(labels.mean(0), dim=0)
    rest = labels - (labels @ common)[:, None] * common
    directions: Tensor = torch.linalg.svd(rest, full_matrices=False).Vh[:rank]
    return directions.T @ directions


def affinity(nodes: Tensor, k: int) -> SparseSymmetric:
    """Normalised affinity of unit vectors [n, d].

    W = D^-1/2 (A + A^T) / 2 D^-1/2,  A_ij = (1 + cosine_ij) / 2 if j is one of the K nearest neighbours of i
    """
    indices = torch.arange(len(nodes), device=nodes.device)
    neighbours = nearest(nodes, indices, k)
    edges = torch.stack((indices.repeat_interleave(k), neighbours.indices.flatten()))
    half = (1 + neighbours.cosine.flatten()) / 4
    degree = torch.zeros(len(nodes), dtype=nodes.dtype).index_add(0, edges.flatten(), half.repeat(2))
    scale = degree.clamp(min=torch.finfo(nodes.dtype).tiny).rsqrt()
    values = half * scale[edges[0]] * scale[edges[1]]
    row, column = torch.cat((edges, edges.flip(0)), 1)
    row, order = row.sort(stable=True)
    return SparseSymmetric(column[order], values.repeat(2)[order], torch.searchsorted(row, indices))


def solve_propagation(weights: SparseSymmetric, seeds: Tensor, alpha: float) -> Tensor:
    """(I - alpha W)^-1 Y for seeds Y [n, B], by conjugate gradients."""
    tiny = torch.finfo(seeds.dtype).tiny
    solution, residual, direction = torch.zeros_like(seeds), seeds, seeds
    size = residual.square().sum(0)
    for _ in range(ITERATIONS):
        image = direction - alpha * weights.times(direction)
        step = size / (direction * image).sum(0).clamp(min=tiny)
        solution, residual = solution + step * direction, residual - step * image
        previous, size = size, residual.square().sum(0)
        direction = residual + size / previous.clamp(min=tiny) * direction
    return solution

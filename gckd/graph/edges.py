"""Weighted edges of a KNN graph (eq. 3-4): from the K nearest neighbours of a node to the weights of their messages."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.graph import EdgeRule
from gckd.graph.knn import KnnIndex, Neighbours
from gckd.graph.reciprocal import is_reciprocal, overlap

MIN_SCALE = 1e-4  # a nearest neighbour that is a copy counts as at this cosine distance


class Edges(NamedTuple):
    """Incoming edges of n receivers: E = K edges each, or K + 1 with a self-edge.

    A dropped edge has weight 0 and its receiver as sender, so that no node has to be computed for it.
    """

    senders: Tensor  # [n, E] node indices
    weights: Tensor  # [n, E] sum to 1 per receiver

    def of(self, receivers: Tensor) -> Edges:
        """Incoming edges of the receivers at some positions [m]."""
        return Edges(self.senders[receivers], self.weights[receivers])


def weighted_edges(index: KnnIndex, receivers: Tensor | None, rule: EdgeRule, penalties: Tensor | None = None) -> Edges:
    """Incoming edges of some nodes, weighted by softmax(cosine / temperature - penalty of the sender).

    The temperature is that of the rule. If the rule is `relative`, it is multiplied by the cosine distance 1 - cosine
    of each receiver's nearest neighbour (local scaling, Zelnik-Manor and Perona, NIPS 2004).

    A receiver whose edges are all dropped sends its whole message to itself. The weight of an edge of too small an
    overlap goes to the receiver, so that a node among strangers mostly keeps its own signal.

    Args:
        receivers: indices [n]; None: all N nodes.
        penalties: [N]; None: 0.

    Raises:
        ValueError: K is not below the number of senders.
    """
    if receivers is None:
        senders, cosine = index.neighbours(rule.k)
        receivers = torch.arange(len(index), device=senders.device)
    else:
        senders, cosine = index.neighbours_of(receivers, rule.k)
    scale = (1 - cosine[:, :1]).clamp(min=MIN_SCALE) if rule.relative else 1.0
    if rule.drops_edges:
        counts = _counts(index, receivers, Neighbours(senders, cosine), rule)
        senders = torch.where(counts, senders, receivers[:, None])
        cosine = cosine.masked_fill(~counts, -torch.inf).masked_fill(~counts.any(1, keepdim=True), 0.0)
    if rule.self_edge:
        senders = torch.cat((senders, receivers[:, None]), 1)
        cosine = torch.cat((cosine, cosine.new_ones(len(cosine), 1)), 1)
    logits = cosine / (rule.temperature * scale)
    if penalties is not None:
        logits = logits - penalties[senders]
    if rule.overlap > 0:
        overlaps = overlap(index, rule.k)[receivers] >= rule.overlap
        senders = torch.cat((senders[:, : rule.k].where(overlaps, receivers[:, None]), senders[:, rule.k :]), 1)
    return Edges(senders, F.softmax(logits, 1))


def _counts(index: KnnIndex, receivers: Tensor, neighbours: Neighbours, rule: EdgeRule) -> Tensor:
    """Whether each edge counts under the rule, [n, K]."""
    counts = neighbours.cosine >= rule.threshold
    return counts & is_reciprocal(index, receivers, neighbours) if rule.reciprocal else counts

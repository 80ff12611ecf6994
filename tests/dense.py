"""Message passing on every node of a small graph by loops: what the graphs of the banks are held against."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.graph import EdgeRule, Gnn


def edge_weights(
    nodes: Tensor, rule: EdgeRule, linked: Tensor | None = None, penalties: Tensor | None = None
) -> Tensor:
    """Weights [N, N] of the edges to node i from node j; row i sums to 1.

    Args:
        linked: [N, N], whether node j may be a neighbour of node i; None: any other node may.
        penalties: [N], subtracted from the logits of the edges from node j; None: 0.
    """
    count, cosine = len(nodes), nodes @ nodes.T

    def nearest(i: int, candidates: Iterable[int]) -> list[int]:
        return sorted((j for j in candidates if j != i), key=lambda j: float(cosine[i, j]), reverse=True)[: rule.k]

    candidates = [{j for j in range(count) if linked is None or linked[i, j]} for i in range(count)]
    circles = [{j for j in nearest(i, candidates[i]) if i in nearest(j, candidates[j])} | {i} for i in range(count)]
    weights = torch.zeros_like(cosine)
    for i in range(count):
        senders = [j for j in nearest(i, candidates[i]) if cosine[i, j] >= rule.threshold]
        if rule.reciprocal:  # a node that sends to no node competes for a place among the neighbours of j
            senders = [j for j in senders if i in nearest(j, candidates[j] | {i})]
        if rule.self_edge or not senders:
            senders.append(i)
        scale = 1 - cosine[i, nearest(i, candidates[i])[0]] if rule.relative else 1
        logits = cosine[i, senders] / (rule.temperature * scale)
        shares = (logits if penalties is None else logits - penalties[senders]).softmax(0)
        for j, share in zip(senders, shares, strict=True):
            overlaps = j in circles[i] and jaccard(circles[i], circles[j]) >= rule.overlap
            weights[i, j if overlaps or not rule.overlap else i] += share
    return weights


def jaccard(a: set[int], b: set[int]) -> float:
    """Share of the members of two sets that are in both."""
    return len(a & b) / len(a | b)


def smoothed(nodes: Tensor, config: Gnn, linked: Tensor | None = None) -> Tensor:
    """Eq. 3-4 with smoothing: unit vectors [N, d] -> all of them, propagated. `linked` as in `edge_weights`."""
    weights, x = edge_weights(nodes, config.edge_rule, linked), nodes
    for _ in range(config.layers):
        x = F.normalize(config.residual * x + (1 - config.residual) * weights @ x, dim=1)
    return x

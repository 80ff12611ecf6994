"""Reciprocal neighbours: nodes that are among the K nearest neighbours of each other."""

from __future__ import annotations

import torch
from torch import Tensor

from gckd.graph.knn import KnnIndex, Neighbours


def is_reciprocal(index: KnnIndex, nodes: Tensor, neighbours: Neighbours) -> Tensor:
    """Whether each of the `nodes` [n] is in turn among the K nearest neighbours of its own K nearest: [n, K].

    A node that cannot send is compared with the K-th neighbour of the sender, which it would replace.

    Args:
        neighbours: of the nodes, from `index`.

    Source: k-reciprocal nearest neighbours (Zhong et al., "Re-ranking person re-identification with k-reciprocal
    encoding", CVPR 2017).
    """
    k = neighbours.indices.shape[1]
    senders, position = torch.unique(neighbours.indices, return_inverse=True)
    back = index.neighbours_of(senders, k)
    # An edge is the number node x N + sender; set membership needs no [n, K, K] comparison.
    edges = neighbours.indices * len(index) + nodes[:, None]
    reciprocal = torch.isin(edges, senders[:, None] * len(index) + back.indices)
    if index.senders is None:
        return reciprocal
    replaces = neighbours.cosine >= back.cosine[:, -1][position]
    return reciprocal | (replaces & (nodes[:, None] >= index.senders))

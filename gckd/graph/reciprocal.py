"""Reciprocal neighbours: nodes that are among the K nearest neighbours of each other; and their overlap."""

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
    reciprocal = _contain(back.indices, position, nodes)
    if index.senders is None:
        return reciprocal
    replaces = neighbours.cosine >= back.cosine[:, -1][position]
    return reciprocal | (replaces & (nodes[:, None] >= index.senders))


def overlap(index: KnnIndex, k: int) -> Tensor:
    """Share of reciprocal neighbours that each of N nodes has in common with each of its K nearest: [N, K].

        R_i = {i} and all j such that i and j are among the K nearest neighbours of each other
        overlap_ij = |R_i & R_j| / |R_i | R_j| if j is in R_i, else 0

    Source: Jaccard distance of Zhong et al., see `is_reciprocal`.

    Differences from Zhong et al.: sets instead of weighted vectors, without local query expansion.
    """
    neighbours = index.neighbours(k).indices
    nodes = torch.arange(len(neighbours), device=neighbours.device)
    reciprocal = _contain(neighbours, neighbours, nodes)
    # Places of neighbours that are not reciprocal hold numbers that equal no node and no other place.
    blanks = -1 - torch.arange(2 * k, device=nodes.device).view(2, 1, k)
    own, other = (torch.cat((nodes[:, None], neighbours.where(reciprocal, blank)), 1) for blank in blanks)
    common = torch.zeros_like(neighbours)
    for member in own.unbind(1):  # one at a time: all K + 1 would need [N, K, K + 1, K + 1]
        common += (other[neighbours] == member[:, None, None]).sum(2)
    sizes = reciprocal.sum(1) + 1
    return (common / (sizes[:, None] + sizes[neighbours] - common)) * reciprocal


def _contain(lists: Tensor, rows: Tensor, nodes: Tensor) -> Tensor:
    """Whether each of the rows [n, K] of the lists [m, K] contains the node of its row, nodes [n]: [n, K]."""
    contain = torch.zeros_like(rows, dtype=torch.bool)
    for column in lists.unbind(1):  # one at a time: all K would need [n, K, K]
        contain |= column[rows] == nodes[:, None]
    return contain

"""Reciprocal neighbours: nodes that are among the K nearest neighbours of each other; and their overlap."""

from __future__ import annotations

import torch
from torch import Tensor

from gckd.graph.knn import KnnIndex, Neighbours

CPU_BLOCK, GPU_BLOCK = 2**17, 2**25  # members of sets that are compared at a time: on a CPU they stay in its cache


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


def overlap(index: KnnIndex, k: int) -> Tensor:
    """Share of reciprocal neighbours that each of N nodes has in common with each of its K nearest: [N, K].

        R_i = {i} and all j such that i and j are among the K nearest neighbours of each other
        overlap_ij = |R_i & R_j| / |R_i | R_j| if j is in R_i, else 0

    Source: Jaccard distance of Zhong et al., see `is_reciprocal`.

    Differences from Zhong et al.: sets instead of weighted vectors, without local query expansion.

    Cost: O(N K^3). Unlike the sparse products of `gckd.graph.clusters`, it waits for no GPU, and for small K it is as
    fast.
    """
    neighbours = index.neighbours(k).indices
    nodes = torch.arange(len(neighbours), device=neighbours.device)
    reciprocal = torch.zeros_like(neighbours, dtype=torch.bool)
    for column in neighbours.unbind(1):  # one at a time: all K would need [N, K, K]
        reciprocal |= column[neighbours] == nodes[:, None]
    # Places of neighbours that are not reciprocal hold numbers that equal no node and no other place.
    blanks = -1 - torch.arange(2 * k, device=nodes.device).view(2, 1, k)
    own, other = (torch.cat((nodes[:, None], neighbours.where(reciprocal, blank)), 1).int() for blank in blanks)
    size = max(1, (CPU_BLOCK if nodes.device.type == "cpu" else GPU_BLOCK) // (k * (k + 1)))
    parts = zip(own.split(size), neighbours.split(size), strict=True)
    common = torch.cat([_common(members, other[theirs]) for members, theirs in parts])
    sizes = reciprocal.sum(1) + 1
    return (common / (sizes[:, None] + sizes[neighbours] - common)) * reciprocal


def _common(own: Tensor, others: Tensor) -> Tensor:
    """Numbers of members that each set of `own` [n, S] has in common with each of the sets `others` [n, K, S]: [n, K].

    No set has a member twice.
    """
    shared = torch.zeros_like(others, dtype=torch.bool)
    for member in own.unbind(1):  # one at a time: all S would need [n, K, S, S]
        shared |= others == member[:, None, None]
    return shared.sum(2)

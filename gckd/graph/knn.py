"""Exact nearest neighbours by cosine, in blocks, without an N x N matrix."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Neighbours(NamedTuple):
    """The K nearest nodes of n queries: indices and cosines, both [n, K], nearest first."""

    index: Tensor
    cosine: Tensor


def nearest(nodes: Tensor, queries: Tensor, k: int, block: int = 1024) -> Neighbours:
    """KNN(V, K) of eq. 3 for some of the nodes.

    Args:
        nodes: unit vectors [N, d]. queries: indices [n] into `nodes`; a node is never its own neighbour. k: K < N.

    Raises:
        ValueError: K is not below N.
    """
    if k >= len(nodes):
        raise ValueError(f"K = {k} is outside its limit: < {len(nodes)} nodes")
    found = []
    for part in queries.split(block):
        cosine = nodes[part] @ nodes.T
        cosine[torch.arange(len(part), device=part.device), part] = -torch.inf
        found.append(cosine.topk(k, dim=1))
    return Neighbours(torch.cat([f.indices for f in found]), torch.cat([f.values for f in found]))

"""Exact nearest neighbours by cosine, in blocks, without an N x N matrix."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 64  # columns whose maximum is taken together


class Neighbours(NamedTuple):
    """The K nearest nodes of n queries: indices and cosines, both [n, K], nearest first."""

    index: Tensor  # type: ignore[assignment]  # hides tuple.index
    cosine: Tensor


def nearest(nodes: Tensor, queries: Tensor, k: int, block: int = 256, senders: int | None = None) -> Neighbours:
    """KNN(V, K) of eq. 3 for some of the nodes.

    Args:
        nodes: unit vectors [N, d]. queries: indices [n] into `nodes`; a node is never its own neighbour. k: K < N.
        senders: only the first so many nodes are anyone's neighbours; None: all N.

    Raises:
        ValueError: K is not below N, or not below the senders.
    """
    count = len(nodes) if senders is None else senders
    if k >= count:
        raise ValueError(f"K = {k} is outside its limit: < {count} nodes")
    padded = F.pad(nodes, (0, 0, 0, -len(nodes) % BLOCK))
    found = []
    for part in queries.split(block):
        cosine = nodes[part] @ padded.T
        cosine[:, count:] = -torch.inf
        cosine[torch.arange(len(part), device=part.device), part] = -torch.inf
        found.append(_top(cosine, k))
    return Neighbours(torch.cat([f.index for f in found]), torch.cat([f.cosine for f in found]))


def _top(cosine: Tensor, k: int) -> Neighbours:
    """The K largest of each row [n, N], N a multiple of BLOCK: they lie in the K blocks with the largest maxima.

    Maxima are vectorised and `topk` is not, so that this takes half its time on long rows.
    """
    blocks = cosine.unflatten(1, (-1, BLOCK))
    if blocks.shape[1] < 4 * k:
        values, index = cosine.topk(k, dim=1)
        return Neighbours(index, values)
    best = blocks.amax(2).topk(k, dim=1, sorted=False).indices
    candidates = blocks.gather(1, best[:, :, None].expand(-1, -1, BLOCK)).flatten(1)
    values, place = candidates.topk(k, dim=1)
    return Neighbours(best.gather(1, place // BLOCK) * BLOCK + place % BLOCK, values)

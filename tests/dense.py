"""Message passing on every node of a small graph by loops: what the graphs of the banks are held against."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.graph import Gnn


def smoothed(nodes: Tensor, config: Gnn, linked: Tensor | None = None) -> Tensor:
    """Eq. 3-4 with smoothing: unit vectors [N, d] -> all of them, propagated.

    Args:
        linked: [N, N], whether node j may be a neighbour of node i; None: any other node may.
    """
    count = len(nodes)
    weights = torch.zeros(count, count, dtype=nodes.dtype)
    for i in range(count):
        cosine = {j: float(nodes[i] @ nodes[j]) for j in range(count) if j != i and (linked is None or linked[i, j])}
        best = sorted(cosine, key=cosine.__getitem__, reverse=True)[: config.k]
        weights[i, best] = torch.tensor([cosine[j] for j in best], dtype=nodes.dtype).div(config.temperature).softmax(0)
    x = nodes
    for _ in range(config.layers):
        x = F.normalize(config.residual * x + (1 - config.residual) * weights @ x, dim=1)
    return x

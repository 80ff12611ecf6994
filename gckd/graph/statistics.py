"""Statistics of embeddings and of their KNN graphs: hubness, recall, connected components, effective rank."""

from __future__ import annotations

import math

import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor


def hubness(neighbours: Tensor) -> float:
    """Skewness of the in-degree N_K in a KNN graph.

    0 if all nodes are neighbours of equally many nodes; large if few nodes are neighbours of most. Source: Radovanovic
    et al., "Hubs in space: popular nearest neighbors in high-dimensional data", JMLR 2010.

    Args:
        neighbours: [N, K], indices of the K nearest nodes of each node.
    """
    degree = torch.bincount(neighbours.flatten(), minlength=len(neighbours)).double()
    deviation = degree - degree.mean()
    variance = float(deviation.square().mean())
    return float(deviation.pow(3).mean()) / variance**1.5 if variance else 0.0


def recall(approximate: Tensor, exact: Tensor) -> float:
    """Share of the exact neighbours [n, K] of some nodes that are among the approximate ones [n, K], in any order."""
    return float((approximate[:, :, None] == exact[:, None, :]).any(1).float().mean())


def components(neighbours: Tensor) -> int:
    """Number of weakly connected components of a KNN graph, for which edges count in both directions.

    Args:
        neighbours: [N, K], indices of the K nearest nodes of each node.
    """
    nodes, k = neighbours.shape
    targets = neighbours.flatten().cpu().numpy()
    starts = torch.arange(0, nodes * k + 1, k, device="cpu").numpy()
    adjacency = csr_array((torch.ones(nodes * k, device="cpu").numpy(), targets, starts), shape=(nodes, nodes))
    return int(connected_components(adjacency, directed=True, connection="weak", return_labels=False))


def effective_rank(embeddings: Tensor) -> float:
    """exp(entropy of p), p = the singular values of embeddings [N, d] over their sum; in [1, min(N, d)].

    Source: Garrido et al., "RankMe: assessing the downstream performance of pretrained self-supervised representations
    by their rank", ICML 2023. Differs: 0 log 0 = 0 instead of adding 1e-7 to p; the rank of zero embeddings is 1.
    """
    values = singular_values(embeddings.double())
    p = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
    return math.exp(float(torch.special.entr(p).sum()))


def singular_values(x: Tensor) -> Tensor:
    """Singular values of x [a, b] in float64, from its smaller Gram matrix, which is several times faster than an SVD.

    Values below 1e-8 of the largest are inaccurate, because the Gram matrix squares them.
    """
    gram = x @ x.T if len(x) <= x.shape[1] else x.T @ x
    values: Tensor = torch.linalg.eigvalsh(gram)
    return values.clamp_min(0).sqrt()

"""The shape of a KNN graph: whether few nodes are everyone's neighbour, and whether it falls apart."""

from __future__ import annotations

import math

import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor


def hubness(index: Tensor) -> float:
    """Skewness of the in-degree N_K of a graph with an edge from each of its N nodes to its K nearest, `index` [N, K].

    0 where every node is as often a neighbour as any other; high where few nodes are neighbours of most (Radovanovic et
    al., "Hubs in space: popular nearest neighbors in high-dimensional data", JMLR 2010).
    """
    degree = torch.bincount(index.flatten(), minlength=len(index)).double()
    off = degree - degree.mean()
    variance = float(off.square().mean())
    return float(off.pow(3).mean()) / variance**1.5 if variance else 0.0


def components(index: Tensor) -> int:
    """Weakly connected components of the same graph: parts that no edge joins, whichever way it points."""
    nodes, k = index.shape
    targets = index.flatten().cpu().numpy()
    starts = torch.arange(0, nodes * k + 1, k, device="cpu").numpy()
    adjacency = csr_array((torch.ones(nodes * k, device="cpu").numpy(), targets, starts), shape=(nodes, nodes))
    return int(connected_components(adjacency, directed=True, connection="weak", return_labels=False))


def effective_rank(embeddings: Tensor) -> float:
    """exp(entropy of the singular values over their sum) of embeddings [N, d]; in [1, d].

    Garrido et al., "RankMe: assessing the downstream performance of pretrained self-supervised representations by
    their rank", ICML 2023. Differs: no 1e-7 is added to the shares, as 0 log 0 = 0 here; embeddings of zero have 1.
    """
    values = singular_values(embeddings.double())
    shares = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
    return math.exp(float(torch.special.entr(shares).sum()))


def singular_values(x: Tensor) -> Tensor:
    """Those of float64 x [a, b], from its smaller Gram matrix: several times quicker than an SVD, and symmetric.

    Squaring loses what is below 1e-8 of the largest.
    """
    gram = x @ x.T if len(x) <= x.shape[1] else x.T @ x
    values: Tensor = torch.linalg.eigvalsh(gram)
    return values.clamp_min(0).sqrt()

"""Clusters of the entries of a bank: pseudo identities."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from gckd.graph.knn import KnnIndex
from gckd.graph.reciprocal import is_reciprocal


def clusters(index: KnnIndex, k: int, eps: float, min_samples: int) -> Tensor:
    """Cluster number [N] of each node: DBSCAN on the Jaccard distance of k-reciprocal neighbours.

        R_i = {i} and all j such that i and j are among the K nearest neighbours of each other
        d_ij = 1 - |R_i & R_j| / |R_i | R_j|

    A node that DBSCAN calls noise is a cluster of its own. Numbers are 0, 1, ...; noise has the largest.

    Args:
        index: of the nodes, all of which can be neighbours.
        k: K, nearest neighbours of each node.
        eps: largest distance of two adjacent nodes.
        min_samples: adjacent nodes, itself included, that make a node a core of a cluster.

    Source: DBSCAN of Ester et al., KDD 1996, in scikit-learn. The distance is that of Zhong et al., "Re-ranking person
    re-identification with k-reciprocal encoding", CVPR 2017.

    Differences from Zhong et al.: sets instead of weighted vectors, without local query expansion, so that a sparse
    product computes all distances at every step.
    """
    from sklearn.cluster import DBSCAN

    distances = jaccard_distances(reciprocal_sets(index, k))
    labels: NDArray[np.int64] = DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed").fit_predict(distances)
    noise = labels == -1
    labels[noise] = labels.max(initial=-1) + 1 + np.arange(noise.sum())
    return torch.from_numpy(labels).to(index.embeddings.device)


def reciprocal_sets(index: KnnIndex, k: int) -> sparse.csr_array:
    """Matrix [N, N] with 1 at (i, j) if j = i, or if i and j are among the K nearest neighbours of each other."""
    count, neighbours = len(index), index.neighbours(k)
    nodes = torch.arange(count, device=neighbours.indices.device)
    rows, places = is_reciprocal(index, nodes, neighbours).nonzero(as_tuple=True)
    members = rows.cpu().numpy(), neighbours.indices[rows, places].cpu().numpy()
    edges = sparse.csr_array((np.ones(len(rows)), members), shape=(count, count))
    return sparse.csr_array(edges + sparse.eye_array(count))


def jaccard_distances(sets: sparse.csr_array) -> sparse.csr_array:
    """Jaccard distances of the rows of a 0-1 matrix [N, N]; only pairs that share a member are stored."""
    sizes, common = sets.sum(axis=1), (sets @ sets.T).tocoo()
    first, second = common.coords
    distances = 1 - common.data / (sizes[first] + sizes[second] - common.data)
    return sparse.csr_array((distances, (first, second)), shape=sets.shape)

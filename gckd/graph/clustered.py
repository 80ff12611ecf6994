"""Pseudo similarities (eq. 6-7) that the members of a cluster share."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from gckd.config.graph import Clusters
from gckd.graph.clusters import clusters
from gckd.graph.knn import KnnIndex
from gckd.graph.similarity import BankPair, PropagatedSimilarity, RetrievalDirection, concatenated


class ClusteredSimilarity(PropagatedSimilarity):
    """Mean of the pseudo similarities over a cluster of bank entries: each cluster is a pseudo identity.

        S'_i = r S_i + (1 - r) mean of S_j over the cluster of i

    S_i is the row of a query i, and then the column of a key i. Entries of one cluster thus have the same labels, and
    a query's probability spreads evenly over the cluster of a key. A modality without clusters skips its part.

    Clusters are computed from the banks at each step, so they need no place in a checkpoint.

    Source: ours. Pseudo identities from clusters are the standard of unsupervised re-identification (for example Ge et
    al., "Self-paced contrastive learning", NeurIPS 2020).
    """

    def __init__(self, config: Clusters) -> None:
        super().__init__(config.images, config.texts)
        self.config = config
        # Both directions of a step use the same clusters.
        self._labels: WeakKeyDictionary[KnnIndex, Tensor] = WeakKeyDictionary()

    def propagate_columns(self, columns: Tensor, banks: BankPair, t: float) -> Tensor:
        labels = self.labels(banks.key_bank)
        return torch.lerp(cluster_means(columns, labels)[labels], columns, self.config.residual)

    def labels(self, bank: KnnIndex) -> Tensor:
        """Cluster number [N] of each entry of a bank."""
        if bank not in self._labels:
            self._labels[bank] = clusters(bank, self.config.k, self.config.eps, self.config.min_samples)
        return self._labels[bank]

    def propagate_rows(self, direction: RetrievalDirection, t: float, agree: bool) -> Tensor:
        banks, positions = direction.banks, direction.positions
        labels = self.labels(banks.query_bank)
        members = torch.isin(labels, labels[positions]).nonzero().squeeze(1)
        numbers, local = labels[members].unique(return_inverse=True)
        rows = concatenated(banks.query_bank.embeddings[members], banks, t, agree)
        means = cluster_means(rows, local)[torch.searchsorted(numbers, labels[positions])]
        own_rows = rows[torch.searchsorted(members, positions)]
        return torch.lerp(means, own_rows, self.config.residual)


def cluster_means(values: Tensor, labels: Tensor) -> Tensor:
    """Mean [c, m] of the values [n, m] of each cluster; labels [n] are 0, ..., c - 1."""
    sums = values.new_zeros(int(labels.max()) + 1, values.shape[1]).index_add(0, labels, values)
    return sums / labels.bincount()[:, None]

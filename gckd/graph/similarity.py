"""Pseudo similarities (eq. 6-7) of queries and the bank of the other modality, and their message passing (eq. 4)."""

from __future__ import annotations

import copy
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.graph import Diffusion
from gckd.graph.subgraph import Nodes, neighbourhood

BLOCK = 512  # rows of the similarities of two banks that exist at a time


class BankPair:
    """The target's bank of images [M, d] and of captions [N, d], seen from the images; both directions' work is shared.

    `own` is the bank of the queries, of modality 0 (images) or 1 (captions), and `keys` the other one.
    """

    def __init__(self, images: Tensor, texts: Tensor) -> None:
        self.own, self.keys = Nodes(images), Nodes(texts)
        self.modality = 0
        self._partitions: dict[tuple[Nodes, float], Tensor] = {}

    def turned(self) -> BankPair:
        """The same banks seen from the keys; whatever one side has found the other knows."""
        other = copy.copy(self)
        other.own, other.keys, other.modality = self.keys, self.own, 1 - self.modality
        return other

    def log_partition(self, t: float) -> Tensor:
        """log sum_i exp(own_i . key_j / t) over the entries of the own bank, for each key: [N]."""
        if (self.own, t) not in self._partitions:
            over_own, over_keys = log_partitions(self.own.embeddings, self.keys.embeddings, t)
            self._partitions |= {(self.own, t): over_own, (self.keys, t): over_keys}
        return self._partitions[self.own, t]


class RetrievalDirection(NamedTuple):
    """One direction: unit queries [B, d], their places [B] in their own modality's bank, and both banks."""

    queries: Tensor
    place: Tensor
    banks: BankPair


class Similarity(Protocol):
    """Pseudo similarities [B, N] of one side at temperature t, >= 0.

    p(key | query); if `agree`, times p(query | key), in which all M entries of the queries' own bank compete.
    """

    def __call__(self, side: RetrievalDirection, t: float, agree: bool) -> Tensor: ...


class DirectSimilarity:
    """The queries' own: softmax(z . Q / t), z propagated or not."""

    def __call__(self, side: RetrievalDirection, t: float, agree: bool) -> Tensor:
        return torch.stack(_directions(side.queries, side, t, agree)).prod(0)


class DiffusedSimilarity:
    """L layers of S <- r S + (1 - r) A S on similarities, over the graphs of both modalities' target banks.

    A node's signal is not its embedding but the row of probabilities that it gives the other modality: neighbours vote.
    Embeddings of one person's images differ in what a camera adds; their mean keeps the part they share, right or
    wrong. Votes are counted after the softmax, where an image that is read wrongly spreads its probability over
    strangers, each of whom gets little.

    Queries collect the rows of their L-hop neighbourhood; keys then share what lies on them with theirs; where a
    modality has no graph, neither happens among its entries. Ours, after label propagation (Zhou et al., "Learning with
    local and global consistency", NIPS 2003).
    """

    def __init__(self, config: Diffusion) -> None:
        self.config = config

    def __call__(self, side: RetrievalDirection, t: float, agree: bool) -> Tensor:
        linked = self.config.images, self.config.texts
        modality, count = side.banks.modality, len(side.banks.keys)
        rows = self._voted(side, t, agree) if linked[modality] else _joined(side.queries, side, t, agree)
        columns = torch.cat(rows.split(count, 1)).T.contiguous()
        if linked[1 - modality]:
            columns = self._shared(columns, side.banks.keys)
        return torch.stack(columns.T.split(len(side.place))).prod(0)

    def _voted(self, side: RetrievalDirection, t: float, agree: bool) -> Tensor:
        """The queries' rows [B, n] after message passing among the entries of their own bank."""
        own, config = side.banks.own, self.config
        around = neighbourhood(own, side.place, config.layers, config.k, config.temperature)
        rows = _joined(own.embeddings[around.order], side, t, agree)
        for receivers in around.receivers:
            used = receivers * config.k
            edges, weights = around.edges[0, :used].view(receivers, -1), around.weights[:used].view(receivers, -1)
            rows = self._layer(rows, edges, weights)
        return rows[around.place]

    def _shared(self, columns: Tensor, keys: Nodes) -> Tensor:
        """What lies on the keys [N, m], after message passing among them."""
        edges, cosine = keys.all(self.config.k)
        weights = F.softmax(cosine / self.config.temperature, 1)
        for _ in range(self.config.layers):
            columns = self._layer(columns, edges, weights)
        return columns

    def _layer(self, signal: Tensor, sources: Tensor, weights: Tensor) -> Tensor:
        """Signals [n, c] -> [m, c]: of the first m nodes and of their K neighbours `sources`, `weights` [m, K]."""
        votes = F.embedding_bag(sources, signal, per_sample_weights=weights, mode="sum")  # the quickest weighted gather
        return torch.lerp(votes, signal[: len(sources)], self.config.residual)


def _directions(queries: Tensor, side: RetrievalDirection, t: float, agree: bool) -> list[Tensor]:
    scores = (queries / t) @ side.banks.keys.embeddings.T  # the small factor is divided, not the product
    found = [F.softmax(scores, 1)]
    if agree:
        found.append(torch.exp(scores - side.banks.log_partition(t)))
    return found


def _joined(queries: Tensor, side: RetrievalDirection, t: float, agree: bool) -> Tensor:
    """Both directions beside each other, [B, N] or [B, 2 N], so that one pass takes them along."""
    return torch.cat(_directions(queries, side, t, agree), 1)


def log_partitions(own: Tensor, keys: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """log sum exp(own_i . key_j / t) over i, [N], and over j, [M]: one pass in blocks, never M x N at once."""
    over_own, over_keys = [], []
    for part in own.split(BLOCK):
        scores = (part / t) @ keys.T
        over_own.append(scores.logsumexp(0))
        over_keys.append(scores.logsumexp(1))
    return torch.stack(over_own).logsumexp(0), torch.cat(over_keys)

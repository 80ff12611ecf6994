"""Pseudo similarities (eq. 6-7) of queries and the target bank of the other modality, and diffusion of them (eq. 4)."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.graph import Diffusion, EdgeRule
from gckd.graph.bank_softmax import blocks, log_partitions, row_entropies, row_log_partitions, shared_log_partitions
from gckd.graph.division import divides, of_all_rows
from gckd.graph.edges import Edges, weighted_edges
from gckd.graph.knn import KnnIndex
from gckd.graph.subgraph import neighbourhood


class BankPair:
    """Target banks of images [M, d] and captions [N, d], as query bank and key bank of one retrieval direction.

    A bank is given by its unit embeddings, or by an index that searches them in its own way. A pair and its reverse
    share their KNN graphs and partition functions, so that these are computed once per step.

    Args:
        shared: whether all workers of a run use the pair at the same time; they divide the work on large banks.

    Attributes:
        query_bank, key_bank: images and captions; the reverse in `reversed()`.
        modality: of the queries, 0 (images) or 1 (captions).
    """

    def __init__(self, images: Tensor | KnnIndex, texts: Tensor | KnnIndex, shared: bool = False) -> None:
        self.query_bank, self.key_bank = _index(images), _index(texts)
        self.modality = 0
        self._divided = shared and divides(len(self.query_bank) * len(self.key_bank))
        self._partitions: dict[tuple[KnnIndex, float], Tensor] = {}
        self._entropies: dict[tuple[KnnIndex, float], Tensor] = {}
        self._edges: dict[tuple[KnnIndex, EdgeRule, float, float], Edges] = {}

    def reversed(self) -> BankPair:
        """The same banks with queries and keys exchanged."""
        reverse = copy.copy(self)
        reverse.query_bank, reverse.key_bank, reverse.modality = self.key_bank, self.query_bank, 1 - self.modality
        return reverse

    def log_partition(self, t: float) -> Tensor:
        """log sum_i exp(query_i . key_j / t) over all entries i of the query bank, for each key j: [N]."""
        if (self.query_bank, t) not in self._partitions:
            banks = self.query_bank.embeddings, self.key_bank.embeddings
            over_queries, over_keys = (shared_log_partitions if self._divided else log_partitions)(*banks, t)
            self._partitions |= {(self.query_bank, t): over_queries, (self.key_bank, t): over_keys}
        return self._partitions[self.query_bank, t]

    def entropies(self, t: float) -> Tensor:
        """Entropy in nats of p(key | query) = softmax(query . keys / t), for each entry of the query bank: [M]."""
        if (self.query_bank, t) not in self._entropies:
            queries, keys = self.query_bank.embeddings, self.key_bank.embeddings
            entropies = of_all_rows(lambda own: row_entropies(own, keys, t), queries, self._divided)
            self._entropies[self.query_bank, t] = entropies
        return self._entropies[self.query_bank, t]

    def edges(self, rule: EdgeRule, confidence: float, t: float) -> Edges:
        """Incoming edges of all M entries of the query bank, weighted by exp(-confidence x entropy) of their senders.

        Raises:
            ValueError: K is not below M.
        """
        key = self.query_bank, rule, confidence, t
        if key not in self._edges:
            penalties = confidence * self.entropies(t) if confidence else None
            self._edges[key] = weighted_edges(self.query_bank, None, rule, penalties)
        return self._edges[key]


def _index(bank: Tensor | KnnIndex) -> KnnIndex:
    return KnnIndex(bank) if isinstance(bank, Tensor) else bank


class RetrievalDirection(NamedTuple):
    """Queries of one modality, and the banks they are compared with."""

    queries: Tensor  # [B, d], unit vectors
    positions: Tensor  # [B], positions of the queries in the query bank
    banks: BankPair


class Similarity(Protocol):
    """Pseudo similarities of queries and keys."""

    def __call__(self, direction: RetrievalDirection, t: float, agree: bool) -> Tensor:
        """Pseudo similarities [B, N] at temperature t, >= 0.

        p(key | query); if `agree`, times p(query | key), in which all M entries of the query bank compete.
        """
        ...


class DirectSimilarity:
    """softmax(z . Q / t) of the queries z, which may be propagated embeddings."""

    def __call__(self, direction: RetrievalDirection, t: float, agree: bool) -> Tensor:
        return torch.stack(_probabilities(direction.queries, direction.banks, t, agree)).prod(0)


class PropagatedSimilarity(ABC):
    """Message passing on pseudo similarities: on the rows of the queries, then on the columns of the keys.

    Args:
        images, texts: modalities that have a graph; the other one skips its part.
    """

    def __init__(self, images: bool, texts: bool) -> None:
        self.has_graph = images, texts

    def __call__(self, direction: RetrievalDirection, t: float, agree: bool) -> Tensor:
        banks = direction.banks
        if self.has_graph[banks.modality]:
            rows = self.propagate_rows(direction, t, agree)
        else:
            rows = concatenated(direction.queries, banks, t, agree)
        columns = torch.cat(rows.split(len(banks.key_bank), 1)).T.contiguous()
        if self.has_graph[1 - banks.modality]:
            columns = self.propagate_columns(columns, banks, t)
        return torch.stack(columns.T.split(len(direction.positions))).prod(0)

    @abstractmethod
    def propagate_rows(self, direction: RetrievalDirection, t: float, agree: bool) -> Tensor:
        """Rows [B, n] of the queries after message passing in the query bank; see `concatenated`."""

    @abstractmethod
    def propagate_columns(self, columns: Tensor, banks: BankPair, t: float) -> Tensor:
        """Columns of the keys [N, m] after message passing in the key bank."""


class DiffusedSimilarity(PropagatedSimilarity):
    """Message passing on similarities instead of embeddings, over the KNN graphs of both target banks.

        S^(l+1) = r S^(l) + (1 - r) A S^(l),  l = 0, ..., L - 1

    The signal of a node is its row of probabilities over the other modality, so neighbours vote. Averaging embeddings
    would keep what the images of a person share, even if the backbone misreads it. Votes are counted after the softmax,
    where a misread image spreads its probability over many people, each of whom gets little.

    First each query collects the rows of its L-hop neighbourhood, then keys share their columns with their neighbours.
    A modality without a graph skips its part. The edge from a node weighs exp(-confidence x entropy of its row before
    message passing).

    Source: ours, after label propagation (Zhou et al., "Learning with local and global consistency", NIPS 2003).
    """

    def __init__(self, config: Diffusion) -> None:
        super().__init__(config.images, config.texts)
        self.config = config

    def propagate_rows(self, direction: RetrievalDirection, t: float, agree: bool) -> Tensor:
        banks = direction.banks
        edges = self._edges(banks, t)
        graph = neighbourhood(len(banks.query_bank), edges.of, direction.positions, self.config.layers)
        parts = []
        # A neighbourhood has many times more rows than the batch: in blocks of keys they stay in the cache of a CPU.
        for signals in _probability_blocks(graph.nodes, banks, t, agree):
            for receivers in graph.receivers:
                incoming = graph.senders[:receivers], graph.weights[:receivers]
                signals = [self._layer(signal, *incoming) for signal in signals]
            parts.append(torch.stack([signal[graph.input_positions] for signal in signals]))
        return torch.cat(torch.cat(parts, 2).unbind(), 1)

    def propagate_columns(self, columns: Tensor, banks: BankPair, t: float) -> Tensor:
        senders, weights = self._edges(banks.reversed(), t)
        for _ in range(self.config.layers):
            columns = self._layer(columns, senders, weights)
        return columns

    def _edges(self, banks: BankPair, t: float) -> Edges:
        """Incoming edges of all entries of the query bank."""
        return banks.edges(self.config.edge_rules[banks.modality], self.config.confidence, t)

    def _layer(self, signal: Tensor, senders: Tensor, weights: Tensor) -> Tensor:
        """One layer: signals [n, c] of all nodes, senders and weights [m, E] of the first m -> their signals [m, c]."""
        votes = F.embedding_bag(senders, signal, per_sample_weights=weights, mode="sum")  # the fastest weighted gather
        return torch.lerp(votes, signal[: len(senders)], self.config.residual)


def _probabilities(queries: Tensor, banks: BankPair, t: float, agree: bool) -> list[Tensor]:
    """[p(key | query)], or [p(key | query), p(query | key)] if `agree`; each [B, N]."""
    scores = (queries / t) @ banks.key_bank.embeddings.T  # dividing the smaller factor is cheaper
    probabilities = [F.softmax(scores, 1)]
    if agree:
        probabilities.append(scores.sub_(banks.log_partition(t)).exp_())  # in place: no third large tensor
    return probabilities


def _probability_blocks(nodes: Tensor, banks: BankPair, t: float, agree: bool) -> Iterator[list[Tensor]]:
    """`_probabilities` of the entries `nodes` [n] of the query bank, in blocks of keys."""
    queries, keys = banks.query_bank.embeddings[nodes], banks.key_bank.embeddings
    over_keys = banks.reversed().log_partition(t)[nodes] if agree else row_log_partitions(queries, keys, t)
    over_queries = blocks(banks.log_partition(t), queries) if agree else ()
    scaled = queries / t
    for number, part in enumerate(blocks(keys, queries)):
        scores = scaled @ part.T
        probabilities = [(scores - over_keys[:, None]).exp_()]
        if agree:
            probabilities.append(scores.sub_(over_queries[number]).exp_())
        yield probabilities


def concatenated(queries: Tensor, banks: BankPair, t: float, agree: bool) -> Tensor:
    """`_probabilities` side by side, [B, N] or [B, 2 N]."""
    return torch.cat(_probabilities(queries, banks, t, agree), 1)

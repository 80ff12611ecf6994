"""Pseudo similarities (eq. 6-7) of queries and the bank of the other modality, and their message passing (eq. 4)."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.graph import Diffusion
from gckd.graph.neighbourhood import Nodes, neighbourhood

BLOCK = 512  # rows of the similarities of two banks that exist at a time


class Side(NamedTuple):
    """One direction: unit queries [B, d], their places [B] in their own modality's bank, and both banks."""

    queries: Tensor
    place: Tensor
    own: Nodes  # [M, d]
    keys: Nodes  # [N, d]


class Similarity(Protocol):
    """Pseudo similarities [B, N] of one side at temperature t, >= 0.

    p(key | query); if `agree`, times p(query | key), in which all M entries of the queries' own bank compete.
    """

    def __call__(self, side: Side, t: float, agree: bool) -> Tensor: ...


class Direct:
    """The queries' own: softmax(z . Q / t), z propagated or not."""

    def __call__(self, side: Side, t: float, agree: bool) -> Tensor:
        return torch.stack(_directions(side.queries, side, t, agree)).prod(0)


class Diffused:
    """L layers of S <- r S + (1 - r) A S on similarities, over the graphs of both modalities' target banks.

    A node's signal is not its embedding but the row of probabilities that it gives the other modality: neighbours vote.
    Embeddings of one person's images differ in what a camera adds; their mean keeps the part they share, right or
    wrong. Votes are counted after the softmax, where an image that is read wrongly spreads its probability over
    strangers, each of whom gets little.

    Queries collect the rows of their L-hop neighbourhood; keys then share what lies on them with theirs. Ours, after
    label propagation (Zhou et al., "Learning with local and global consistency", NIPS 2003).
    """

    def __init__(self, config: Diffusion) -> None:
        self.config = config

    def __call__(self, side: Side, t: float, agree: bool) -> Tensor:
        config = self.config
        around = neighbourhood(side.own, side.place, config.layers, config.k, config.temperature)
        directions = _directions(side.own.embeddings[around.order], side, t, agree)
        rows = torch.cat(directions, 1)
        for receivers in around.receivers:
            used = receivers * config.k
            edges, weights = around.edges[0, :used].view(receivers, -1), around.weights[:used].view(receivers, -1)
            rows = self._layer(rows, edges, weights)
        columns = torch.cat(rows[around.place].split(len(side.keys), 1)).T.contiguous()
        edges, cosine = side.keys.all(config.k)
        weights = F.softmax(cosine / config.temperature, 1)
        for _ in range(config.layers):
            columns = self._layer(columns, edges, weights)
        return torch.stack(columns.T.split(len(side.place))).prod(0)

    def _layer(self, signal: Tensor, sources: Tensor, weights: Tensor) -> Tensor:
        """Signals [n, c] -> [m, c]: of the first m nodes and of their K neighbours `sources`, `weights` [m, K]."""
        votes = F.embedding_bag(sources, signal, per_sample_weights=weights, mode="sum")  # the quickest weighted gather
        return torch.lerp(votes, signal[: len(sources)], self.config.residual)


def _directions(queries: Tensor, side: Side, t: float, agree: bool) -> list[Tensor]:
    scores = (queries / t) @ side.keys.embeddings.T  # the small factor is divided, not the product
    found = [F.softmax(scores, 1)]
    if agree:
        found.append(torch.exp(scores - log_partition(side.own.embeddings, side.keys.embeddings, t)))
    return found


def log_partition(own: Tensor, keys: Tensor, t: float) -> Tensor:
    """log sum_i exp(own_i . key_j / t) for each key: [M, d], [N, d] -> [N]. In blocks, never M x N."""
    return torch.stack([torch.logsumexp((part / t) @ keys.T, 0) for part in own.split(BLOCK)]).logsumexp(0)

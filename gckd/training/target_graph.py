"""KNN graphs and sampled queries of the target banks, as the diagnostics of a run read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gckd.config.banks import TARGET_IMAGE, TARGET_TEXT
from gckd.config.graph import Graph
from gckd.graph.knn import KnnIndex, NeighbourSearch, nearest
from gckd.graph.similarity import BankPair, RetrievalDirection
from gckd.graph.statistics import recall
from gckd.method.banks import PerBank
from gckd.method.parts import Parts
from gckd.method.propagation import propagate_bank

SAMPLE = 256  # bank entries that are sampled
MAX_NODES = 8192  # largest graph whose edges are all computed, which takes less time than a step


class KnnGraph(NamedTuple):
    """K edges of some nodes of a graph. The first `source_count` nodes are those of the source."""

    neighbours: Tensor  # [n, K] node numbers
    receivers: Tensor  # [n] nodes whose neighbours these are: all, or a sample of the target's above MAX_NODES
    source_count: int
    node_count: int
    banks: tuple[int, ...]  # banks whose entries are the nodes, in order
    embeddings: Tensor  # [N, d] of all nodes

    @property
    def is_complete(self) -> bool:
        """Whether the edges of all nodes are known."""
        return len(self.receivers) == self.node_count

    def recall(self, search: NeighbourSearch) -> float:
        """Share of the exact neighbours of the last receivers, at most SAMPLE, that a search finds."""
        exact = self.neighbours[-SAMPLE:]
        return recall(search(self.embeddings, self.receivers[-SAMPLE:], exact.shape[1]).indices, exact)

    def target_edges(self) -> tuple[Tensor, Tensor]:
        """Target nodes among the receivers [m], and their neighbours [m, K]."""
        of_target = self.receivers >= self.source_count
        return self.receivers[of_target], self.neighbours[of_target]


class DirectionSample(NamedTuple):
    """Sampled entries of a target bank as queries to the target bank of the other modality."""

    modality: str  # of the queries: "image" or "text"
    unpropagated: Tensor  # [n, d] queries before message passing
    direction: RetrievalDirection  # with propagated queries
    graph: KnnGraph | None

    def best_keys(self) -> tuple[Tensor, Tensor]:
        """Cosine and position [n] of each query's most similar key: the pair that eq. 9 accepts or rejects."""
        cosine, position = (self.direction.queries @ self.direction.banks.key_bank.embeddings.T).max(1)
        return cosine, position


def direction_samples(parts: Parts) -> tuple[DirectionSample, DirectionSample]:
    """Samples of both directions: image to caption, caption to image."""
    views = parts.banks.space(parts.config.centre).banks
    banks = BankPair(views.target_image, views.target_text)
    return _sample(parts, views, TARGET_IMAGE, banks), _sample(parts, views, TARGET_TEXT, banks.reversed())


def _sample(parts: Parts, views: PerBank, bank: int, banks: BankPair) -> DirectionSample:
    embeddings, modality = banks.query_bank.embeddings, {TARGET_IMAGE: "image", TARGET_TEXT: "text"}[bank]
    positions = torch.arange(len(embeddings))[-SAMPLE:]
    queries = propagate_bank(parts.propagate, views, bank, positions)
    graph = knn_graph(parts.config.graph, views, bank, banks.query_bank)
    return DirectionSample(modality, embeddings[positions], RetrievalDirection(queries, positions, banks), graph)


def knn_graph(config: Graph, views: Sequence[Tensor], bank: int, index: KnnIndex) -> KnnGraph | None:
    """Graph that has the entries of a target bank as nodes; None if the config has none.

    Args:
        views: embeddings of the four banks.
        bank: number of the target bank.
        index: index of that bank, which may hold its neighbours already.
    """
    graph = next((graph for graph in config.propagate.graphs() if bank in graph.banks), None)
    if graph is None:
        return None
    if graph.banks != (bank,):
        index = KnnIndex(torch.cat([views[number] for number in graph.banks]))
    source_count = sum(len(views[number]) for number in graph.banks if number < TARGET_IMAGE)
    k, count, nodes = config.propagate.neighbours, len(index), torch.arange(len(index))
    if count <= MAX_NODES:
        return KnnGraph(index.neighbours(k).indices, nodes, source_count, count, graph.banks, index.embeddings)
    sample = nodes[source_count:][-SAMPLE:]
    neighbours = nearest(index.embeddings, sample, k).indices
    return KnnGraph(neighbours, sample, source_count, count, graph.banks, index.embeddings)

"""What the curves look at: a sample of the target banks' entries, and the graph around them. Read-only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gckd.config.graph import TARGET_IMAGE, TARGET_TEXT, Graph, NoPropagation, graphs
from gckd.graph.knn import nearest
from gckd.graph.neighbourhood import Nodes
from gckd.graph.similarity import Side, TwoBanks
from gckd.train.banks import BankViews
from gckd.train.parts import Parts

SAMPLE = 256  # entries looked at where a sample will do
WHOLE = 8192  # nodes up to which all edges are looked up, in less time than a step takes


class KnnGraph(NamedTuple):
    """K edges of each of some nodes of a graph; the first `source` of its nodes are the source's."""

    index: Tensor  # type: ignore[assignment]  # [n, K] nodes; hides tuple.index
    receivers: Tensor  # [n] whose edges they are: all nodes, or (above WHOLE) a sample of the target's
    source: int
    nodes: int
    banks: tuple[int, ...]  # whose entries the nodes are, in this order

    @property
    def whole(self) -> bool:
        return len(self.receivers) == self.nodes

    def of_target(self) -> tuple[Tensor, Tensor]:
        """The target nodes among the receivers [m], and their edges [m, K]."""
        own = self.receivers >= self.source
        return self.receivers[own], self.index[own]


class Direction(NamedTuple):
    """Sampled target entries of one modality as queries to the target bank of the other."""

    modality: str  # of the queries: "image" or "text"
    raw: Tensor  # [n, d] the queries before message passing
    side: Side  # propagated
    graph: KnnGraph | None


def directions(parts: Parts) -> tuple[Direction, Direction]:
    """From images to captions, and back."""
    views = parts.banks.space(parts.config.centre).views
    banks = TwoBanks(views.target_image, views.target_text)
    return _direction(parts, views, TARGET_IMAGE, banks), _direction(parts, views, TARGET_TEXT, banks.turned())


def _direction(parts: Parts, views: BankViews, bank: int, banks: TwoBanks) -> Direction:
    own, name = banks.own.embeddings, {TARGET_IMAGE: "image", TARGET_TEXT: "text"}[bank]
    place = torch.arange(len(own))[-SAMPLE:]
    queries = parts.propagate.of(views, bank, place)
    graph = knn_graph(parts.config.graph, views, bank, banks.own)
    return Direction(name, own[place], Side(queries, place, banks), graph)


def knn_graph(config: Graph, views: Sequence[Tensor], bank: int, own: Nodes) -> KnnGraph | None:
    """The graph that entries of a target bank are nodes of, over the four banks; None without one.

    Args:
        own: that bank, whose neighbours may be known already.
    """
    node = config.propagate
    graph = next((graph for graph in graphs(node) if bank in graph.banks), None)
    if graph is None or isinstance(node, NoPropagation):
        return None
    nodes = own if graph.banks == (bank,) else Nodes(torch.cat([views[number] for number in graph.banks]))
    source = sum(len(views[number]) for number in graph.banks if number < TARGET_IMAGE)
    return _looked_up(nodes, source, node.k, graph.banks)


def _looked_up(nodes: Nodes, source: int, k: int, banks: tuple[int, ...]) -> KnnGraph:
    count, everyone = len(nodes), torch.arange(len(nodes))
    if count <= WHOLE:
        return KnnGraph(nodes.all(k).index, everyone, source, count, banks)
    sample = everyone[source:][-SAMPLE:]
    return KnnGraph(nearest(nodes.embeddings, sample, k).index, sample, source, count, banks)

"""What the curves look at: a sample of the target banks' entries, and the graph around them. Read-only."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gckd.config.graph import Diffusion, Gnn, Graph
from gckd.graph.knn import nearest
from gckd.graph.neighbourhood import Nodes
from gckd.graph.similarity import Side, TwoBanks
from gckd.train.parts import Parts

SAMPLE = 256  # entries looked at where a sample will do
WHOLE = 8192  # nodes up to which all edges are looked up, in less time than a step takes


class KnnGraph(NamedTuple):
    """K edges of each of some nodes of one modality's graph; the first `source` of its nodes are the source's."""

    index: Tensor  # type: ignore[assignment]  # [n, K] nodes; hides tuple.index
    receivers: Tensor  # [n] whose edges they are: all nodes, or (above WHOLE) a sample of the target's
    source: int
    nodes: int

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
    return (
        _direction(parts, 0, views.source_image, banks),
        _direction(parts, 1, views.source_text, banks.turned()),
    )


def _direction(parts: Parts, modality: int, source: Tensor, banks: TwoBanks) -> Direction:
    own, name = banks.own.embeddings, ("image", "text")[modality]
    place = torch.arange(len(own))[-SAMPLE:]
    queries = parts.propagate[modality](torch.cat((source, own)), place + len(source))
    return Direction(name, own[place], Side(queries, place, banks), knn_graph(parts.config.graph, source, banks.own))


def knn_graph(config: Graph, source: Tensor, target: Nodes) -> KnnGraph | None:
    """The graph that a config builds of one modality's source bank [M, d] and target bank; None without one."""
    node = config.propagate
    if isinstance(node, Diffusion):  # of the target alone
        return _looked_up(target, 0, node.k)
    if isinstance(node, Gnn):
        return _looked_up(Nodes(torch.cat((source, target.embeddings))), len(source), node.k)
    return None


def _looked_up(nodes: Nodes, source: int, k: int) -> KnnGraph:
    count, everyone = len(nodes), torch.arange(len(nodes))
    if count <= WHOLE:
        return KnnGraph(nodes.all(k).index, everyone, source, count)
    sample = everyone[source:][-SAMPLE:]
    return KnnGraph(nearest(nodes.embeddings, sample, k).index, sample, source, count)

"""What the parts of the method do at a point of the run, for the curves: read-only, and without any label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.banks import TARGET_IMAGE, TARGET_TEXT
from gckd.config.graph import Graph
from gckd.graph.knn import nearest
from gckd.graph.similarity import BankPair, DirectSimilarity, RetrievalDirection
from gckd.graph.statistics import components, hubness
from gckd.graph.subgraph import KnnIndex
from gckd.method.banks import PerBank
from gckd.method.parts import Parts
from gckd.method.propagation import propagate_bank
from gckd.method.pseudo_labels import entropies

QUANTILES = (10, 50, 90)  # percent, of the confidence


@torch.no_grad()
def inspect(parts: Parts) -> dict[str, float]:
    """Targets, confidence, what delta accepts, and of each modality's graph what it joins. Empty without target terms.

    Entropies, in nats, are of images over the bank of captions; the student's own is at temperature tau. Confidence is
    the largest cosine of a target entry with the target bank of the other modality, over both directions. Of targets
    nothing is said where there are none.
    """
    if not parts.opens_target:
        return {}
    both = directions(parts)
    seen = _entropies(parts, both[0]) | _confidence(parts, both)
    for direction in both:
        if direction.graph is not None:
            found = {"propagation_change": _change(parts, direction), **dict(_shape(direction.graph))}
            seen |= {f"{name}_{direction.modality}": value for name, value in found.items()}
    return seen


def _entropies(parts: Parts, direction: Direction) -> dict[str, float]:
    tau, keys = float(parts.student.tau), direction.side.banks.key_bank.embeddings
    wanted = parts.labeller.labels(direction.side, tau)
    taught = F.normalize(wanted[wanted.sum(1) > 0], p=1, dim=1)
    own = F.softmax(direction.raw @ keys.T / tau, 1)
    seen = {"target_entropy": float(entropies(taught).mean())} if len(taught) else {}
    return seen | {"bank_entropy": float(entropies(own).mean())}


def _confidence(parts: Parts, both: tuple[Direction, Direction]) -> dict[str, float]:
    largest = torch.cat([confidence(direction)[0] for direction in both])
    steps = torch.tensor([percent / 100 for percent in QUANTILES])
    values = largest.float().quantile(steps).tolist()
    seen = {f"confidence_{percent}": value for percent, value in zip(QUANTILES, values, strict=True)}
    least_cosine = parts.config.distill.matching.least_cosine
    if least_cosine is not None:
        seen["accepted_share"] = float((largest > least_cosine).float().mean())
    return seen


def confidence(direction: Direction) -> tuple[Tensor, Tensor]:
    """Cosine and place [n] of each query's most similar key: the pair that eq. 9 accepts or not."""
    cosine, best = (direction.side.queries @ direction.side.banks.key_bank.embeddings.T).max(1)
    return cosine, best


def _change(parts: Parts, direction: Direction) -> float:
    """What message passing does: mean 1 - cosine of embeddings before and after it; or, where it is on similarities,
    mean total variation of p(key | query) before and after; in [0, 1] then. 0: nothing.
    """
    config = parts.config
    if config.graph.propagate.on_similarities:
        t = float(parts.student.tau) * config.distill.targets.temperature_scale
        plain = DirectSimilarity()(direction.side, t, agree=False)
        votes = parts.similarity(direction.side, t, agree=False)
        return float((F.normalize(votes, p=1, dim=1) - plain).abs().sum(1).mean()) / 2
    return float(1 - (direction.side.queries * direction.raw).sum(1).mean())


def _shape(graph: KnnGraph) -> Iterator[tuple[str, float]]:
    """Share of the K edges of target nodes that come from the source; hubs and parts where every edge is known."""
    if graph.source:
        _, edges = graph.of_target()
        yield "cross_edges", float((edges < graph.source).float().mean())
    if graph.whole:
        yield "hubness", hubness(graph.index)
        yield "components", float(components(graph.index))


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
    side: RetrievalDirection  # propagated
    graph: KnnGraph | None


def directions(parts: Parts) -> tuple[Direction, Direction]:
    """From images to captions, and back."""
    views = parts.banks.space(parts.config.centre).banks
    banks = BankPair(views.target_image, views.target_text)
    return _direction(parts, views, TARGET_IMAGE, banks), _direction(parts, views, TARGET_TEXT, banks.reversed())


def _direction(parts: Parts, views: PerBank, bank: int, banks: BankPair) -> Direction:
    own, name = banks.query_bank.embeddings, {TARGET_IMAGE: "image", TARGET_TEXT: "text"}[bank]
    place = torch.arange(len(own))[-SAMPLE:]
    queries = propagate_bank(parts.propagate, views, bank, place)
    graph = knn_graph(parts.config.graph, views, bank, banks.query_bank)
    return Direction(name, own[place], RetrievalDirection(queries, place, banks), graph)


def knn_graph(config: Graph, views: Sequence[Tensor], bank: int, own: KnnIndex) -> KnnGraph | None:
    """The graph that entries of a target bank are nodes of, over the four banks; None without one.

    Args:
        own: that bank, whose neighbours may be known already.
    """
    node = config.propagate
    graph = next((graph for graph in node.graphs() if bank in graph.banks), None)
    if graph is None:
        return None
    nodes = own if graph.banks == (bank,) else KnnIndex(torch.cat([views[number] for number in graph.banks]))
    source = sum(len(views[number]) for number in graph.banks if number < TARGET_IMAGE)
    return _looked_up(nodes, source, node.neighbours, graph.banks)


def _looked_up(nodes: KnnIndex, source: int, k: int, banks: tuple[int, ...]) -> KnnGraph:
    count, everyone = len(nodes), torch.arange(len(nodes))
    if count <= WHOLE:
        return KnnGraph(nodes.neighbours(k).indices, everyone, source, count, banks)
    sample = everyone[source:][-SAMPLE:]
    return KnnGraph(nearest(nodes.embeddings, sample, k).indices, sample, source, count, banks)

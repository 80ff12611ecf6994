"""Memory banks and message passing over them (GMP)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from gckd.config.banks import GraphNodes
from gckd.config.component import NeighbourSearchConfig, PropagationConfig
from gckd.config.fields import option, section
from gckd.config.neighbour_search import TorchSearch

NO_GRAPH = "graph.propagate: images and texts are both off; use graph.propagate=none"
PLAIN_EDGES = "use reciprocal=false, threshold=-1 and self_edge=false"  # what a learned convolution needs


@dataclass(frozen=True)
class Memory:
    """The four FIFO banks of teacher embeddings (eq. 1-2)."""

    capacity: int = option(
        65_536, "C: entries of each bank, at most as many as the dataset has", unit="entries", ge=1, le=2**22
    )
    warm_start: bool = option(True, "fill the banks with teacher embeddings before the first step")
    source: bool = option(
        True, "keep earlier source batches in the banks; off: the two source banks hold the newest batch alone"
    )
    target: bool = option(
        True, "keep earlier target batches in the banks; off: the two target banks hold the newest batch alone"
    )

    mean_every: int = option(
        1,
        "with `centre`: average the entries of full banks at every n-th step and subtract that mean until the next; "
        "a mean that moves at each step makes updated neighbour lists slow",
        unit="steps",
        ge=1,
        le=10_000,
    )

    def capacities(self, batch: int) -> tuple[int, int]:
        """Capacity of each source bank and of each target bank, for batches of B examples."""
        return self.capacity if self.source else batch, self.capacity if self.target else batch


class EdgeRule(NamedTuple):
    """Rule that turns the K nearest neighbours of a node into weighted edges. The options of `KnnPropagation`.

    overlap: smallest share of reciprocal neighbours that both ends of an edge need in common. Other edges become
        self-edges. 0: all edges count.
    """

    k: int
    temperature: float
    reciprocal: bool = False
    threshold: float = -1.0
    self_edge: bool = False
    relative: bool = False
    overlap: float = 0.0

    @property
    def drops_edges(self) -> bool:
        return self.reciprocal or self.threshold > -1


@dataclass(frozen=True)
class KnnPropagation(PropagationConfig):
    """Message passing over KNN graphs. The paper states K and L; the rest is ours."""

    k: int = option(10, "K: neighbours per node", unit="nodes", ge=1, le=1024)
    layers: int = option(2, "L: propagation layers", ge=1, le=3)
    temperature: float = option(0.05, "edge weights are softmax(cosine / temperature) over a node's edges", gt=0, le=10)
    relative: bool = option(
        False,
        "multiply the temperature by the cosine distance of each node's nearest neighbour, so that in any dataset only "
        "neighbours about as near as the nearest count",
    )
    reciprocal: bool = option(False, "drop edges from neighbours that do not have the node among their own K nearest")
    threshold: float = option(
        -1.0, "drop edges of a smaller cosine; -1: none. A node without edges keeps its own signal", ge=-1, le=1
    )
    self_edge: bool = option(
        False, "a node has an edge to itself, of cosine 1: without close neighbours it mostly keeps its own signal"
    )
    search: NeighbourSearchConfig = section(TorchSearch, "search of the K nearest neighbours")

    @property
    def neighbours(self) -> int:
        return self.k

    @property
    def neighbour_search(self) -> NeighbourSearchConfig:
        return self.search

    @property
    def edge_rule(self) -> EdgeRule:
        return EdgeRule(
            self.k, self.temperature, self.reciprocal, self.threshold, self.self_edge, relative=self.relative
        )


@dataclass(frozen=True)
class Gnn(KnnPropagation):
    """Message passing on embeddings (eq. 3-4) over KNN graphs of the banks.

    The paper states K and L. It leaves convolution, residual and edge weights open: their defaults are ours.
    """

    kind: ClassVar[str] = "gnn"
    joins_items: ClassVar[bool] = True
    reads_source: ClassVar[bool] = True
    conv: str = option(
        "smooth",
        "convolution: a weighted mean without parameters, or a layer of PyG that is learned",
        choices=("smooth", "gcn", "sage", "gatv2", "gin"),
    )
    residual: float = option(
        0.5, "weight of a node's own embedding against that of its neighbours, in each layer", ge=0, le=1
    )
    cross_edges: bool = option(True, "neighbours may be of the other domain; off: a graph for each domain")
    images: bool = option(True, "propagate image embeddings; off: they stay as they are")
    texts: bool = option(True, "propagate caption embeddings; off: they stay as they are")
    joint: bool = option(
        False, "one graph over images and captions with shared layers, instead of a graph for each modality"
    )

    @property
    def learns(self) -> bool:
        return self.conv != "smooth"

    def graphs(self) -> list[GraphNodes]:
        """One graph for each modality, or one over both; in each case over both domains, or one for each domain."""
        modalities = {"joint": (0, 1)} if self.joint else _modalities(self.images, self.texts)
        domains: list[tuple[int, ...]] = [(0, 1)] if self.cross_edges else [(0,), (1,)]
        return [
            GraphNodes(name, tuple(2 * domain + modality for domain in joined for modality in members))
            for name, members in modalities.items()
            for joined in domains
        ]

    def problems(self, config: Any) -> Iterator[str]:
        if not (self.images or self.texts):
            yield NO_GRAPH
        elif self.joint and not (self.images and self.texts):
            yield "graph.propagate.joint: true needs both graph.propagate.images and graph.propagate.texts"
        if self.learns and (self.edge_rule.drops_edges or self.self_edge):
            yield f"graph.propagate.conv: {self.conv!r} reads all K edges; {PLAIN_EDGES}, or use conv=smooth"


class OnTargetBanks(PropagationConfig):
    """Message passing on pseudo similarities, over a graph of the target bank of each modality that has one."""

    on_similarities: ClassVar[bool] = True
    images: bool
    texts: bool

    def graphs(self) -> list[GraphNodes]:
        """One graph for each modality that has one, over the target bank."""
        modalities = _modalities(self.images, self.texts).items()
        return [GraphNodes(name, (2 + members[0],)) for name, members in modalities]

    def problems(self, config: Any) -> Iterator[str]:
        if not (self.images or self.texts):
            yield NO_GRAPH


@dataclass(frozen=True)
class Diffusion(KnnPropagation, OnTargetBanks):
    """Message passing on pseudo similarities instead of embeddings, over KNN graphs of the two target banks."""

    kind: ClassVar[str] = "diffusion"
    residual: float = option(
        0.4, "weight of a node's own similarities against those of its neighbours, in each layer", ge=0, le=1
    )
    confidence: float = option(
        0.0, "the edge from a node weighs exp(-confidence x entropy of its similarities); 0: all alike", ge=0, le=10
    )
    images: bool = option(True, "pass messages over the graph of images; off: not")
    texts: bool = option(True, "pass messages over the graph of captions; off: not")
    image_overlap: float = option(
        0.0,
        "smallest share of reciprocal neighbours (Jaccard index) that two images need in common; the weight of any "
        "other edge stays with its receiver, so that an image among others who look alike keeps its own similarities; "
        "0: all edges count",
        ge=0,
        le=1,
    )

    @property
    def edge_rules(self) -> tuple[EdgeRule, EdgeRule]:
        """Rules for images and for captions."""
        return self.edge_rule._replace(overlap=self.image_overlap), self.edge_rule


@dataclass(frozen=True)
class Clusters(OnTargetBanks):
    """Pseudo identities: members of a cluster of a target bank share their pseudo similarities.

    Clusters are those of DBSCAN on the Jaccard distance of k-reciprocal neighbours.
    """

    kind: ClassVar[str] = "clusters"
    k: int = option(5, "K: neighbours per node", unit="nodes", ge=1, le=1024)
    eps: float = option(0.5, "eps of DBSCAN: largest Jaccard distance of two adjacent nodes", gt=0, lt=1)
    min_samples: int = option(
        2, "adjacent nodes, itself included, that make a node a core of a cluster", unit="nodes", ge=1, le=1024
    )
    residual: float = option(0.2, "weight of a node's own similarities against the mean over its cluster", ge=0, le=1)
    images: bool = option(True, "clusters of images; off: each image is by itself")
    texts: bool = option(True, "clusters of captions; off: each caption is by itself")
    search: NeighbourSearchConfig = section(TorchSearch, "search of the K nearest neighbours")

    @property
    def neighbours(self) -> int:
        return self.k

    @property
    def neighbour_search(self) -> NeighbourSearchConfig:
        return self.search


@dataclass(frozen=True)
class NoPropagation(PropagationConfig):
    """No message passing: embeddings stay as they are."""

    kind: ClassVar[str] = "none"
    off: ClassVar[bool] = True


@dataclass(frozen=True)
class Graph:
    """Memory banks and message passing over them (GMP)."""

    memory: Memory = section(Memory, "memory banks")
    propagate: PropagationConfig = section(
        Gnn, "message passing (GMP), on embeddings (gnn) or on pseudo similarities (diffusion, clusters)"
    )


def _modalities(images: bool, texts: bool) -> dict[str, tuple[int, ...]]:
    """Name and number of each modality that has a graph."""
    return {name: (number,) for number, (name, on) in enumerate((("image", images), ("text", texts))) if on}

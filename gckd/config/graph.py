"""What is remembered and how it is propagated (GMP)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeVar

from gckd.config.fields import option, section

Value = TypeVar("Value")


@dataclass(frozen=True)
class Memory:
    """The four FIFO banks of teacher embeddings (eq. 1-2)."""

    capacity: int = option(
        4096, "C: entries of each bank; never more than the dataset has", unit="entries", ge=1, le=2**22
    )
    warm_start: bool = option(True, "fill the banks with teacher embeddings before the first step")
    source: bool = option(True, "remember the source beyond the batch; off: its two banks hold the newest batch alone")
    target: bool = option(True, "the same for the two banks of the target")

    def capacities(self, batch: int) -> tuple[int, int]:
        """Entries of each source bank and of each target bank, for batches of B."""
        return self.capacity if self.source else batch, self.capacity if self.target else batch


@dataclass(frozen=True)
class Gnn:
    """Graph-based message passing (eq. 3-4) over KNN graphs of the banks."""

    kind: ClassVar[str] = "gnn"
    k: int = option(10, "K: neighbours per node", unit="nodes", ge=1, le=1024)
    layers: int = option(2, "L: propagation layers", ge=1, le=3)
    conv: str = option("smooth", "the convolution", choices=("smooth", "gcn", "sage", "gatv2", "gin"))
    residual: float = option(0.5, "weight of a node's own embedding against its neighbourhood, per layer", ge=0, le=1)
    temperature: float = option(
        0.05, "edge weights are softmax(cosine / temperature) over a node's K edges", gt=0, le=10
    )
    cross_edges: bool = option(True, "a node's neighbours are of both domains; off: of its own alone, a graph for each")
    images: bool = option(True, "there is a graph of images; off: their embeddings stay as they are")
    texts: bool = option(True, "there is a graph of captions; off: their embeddings stay as they are")
    joint: bool = option(False, "one graph over images and captions, with one set of layers, instead of one for each")


@dataclass(frozen=True)
class Diffusion:
    """Message passing on pseudo similarities instead of embeddings, over the KNN graphs of the two target banks."""

    kind: ClassVar[str] = "diffusion"
    k: int = option(10, "K: neighbours per node", unit="nodes", ge=1, le=1024)
    layers: int = option(2, "L: propagation layers", ge=1, le=3)
    residual: float = option(0.4, "weight of a node's own similarities against its neighbours', per layer", ge=0, le=1)
    temperature: float = option(
        0.05, "edge weights are softmax(cosine / temperature) over a node's K edges", gt=0, le=10
    )
    images: bool = option(True, "images vote, and share as keys; off: each stands by itself")
    texts: bool = option(True, "captions vote, and share as keys; off: each stands by itself")


@dataclass(frozen=True)
class NoPropagation:
    """No graph: embeddings pass through unchanged."""

    kind: ClassVar[str] = "none"


@dataclass(frozen=True)
class Graph:
    """What is remembered and how it is propagated."""

    memory: Memory = section(Memory, "embedding memory")
    propagate: Gnn | Diffusion | NoPropagation = section(
        Gnn, "GMP: of embeddings (gnn), of pseudo similarities (diffusion), or none"
    )


# The four banks, in the order in which everything that has one of each has them.
SOURCE_IMAGE, SOURCE_TEXT, TARGET_IMAGE, TARGET_TEXT = range(4)


def per_bank(domains: tuple[Value, Value]) -> list[Value]:
    """One value for each of the four banks, from one of the source and one of the target."""
    source, target = domains
    return [source, source, target, target]


class GraphNodes(NamedTuple):
    """The banks whose entries are the nodes of one graph, and the graph's name."""

    name: str
    banks: tuple[int, ...]

    def total(self, sizes: Sequence[int]) -> int:
        """Its nodes, where the four banks have so many entries."""
        return sum(sizes[bank] for bank in self.banks)


def graphs(propagate: Gnn | Diffusion | NoPropagation) -> list[GraphNodes]:
    """Every graph of a config: one per modality, over both domains; of pseudo similarities, over the target alone."""
    if isinstance(propagate, NoPropagation):
        return []
    linked = (("image", propagate.images), ("text", propagate.texts))
    modalities: list[tuple[str, tuple[int, ...]]] = [(name, (m,)) for m, (name, on) in enumerate(linked) if on]
    domains: list[tuple[int, ...]] = [(1,)]
    if isinstance(propagate, Gnn):
        domains = [(0, 1)] if propagate.cross_edges else [(0,), (1,)]
        modalities = [("joint", (0, 1))] if propagate.joint else modalities
    return [
        GraphNodes(name, tuple(2 * domain + modality for domain in joined for modality in members))
        for name, members in modalities
        for joined in domains
    ]

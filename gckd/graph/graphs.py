"""Which nodes lie in one graph (eq. 3), and message passing on each of these graphs (eq. 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gckd.config.graph import Gnn, GraphNodes, graphs
from gckd.graph.propagation import Propagation

Four = Sequence[Tensor]  # something of Q_SI, Q_ST, Q_TI and Q_TT, in this order


class Graphs(nn.Module):
    """The graphs over the four banks, and the layers of each; without any, embeddings pass through as they are.

    Graphs of the same name share their layers.
    """

    def __init__(self, nodes: Sequence[GraphNodes] = (), layers: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__()
        self.nodes = tuple(nodes)
        self.layers = nn.ModuleDict(layers)

    def forward(self, banks: Four, at: Four) -> list[Tensor]:
        """Unit embeddings [N, d] of the banks and places [B] in them -> what is at these places, propagated: [B, d].

        Raises:
            ValueError: K is not below the nodes of a graph.
        """
        out = [bank[places] for bank, places in zip(banks, at, strict=True)]
        for graph in self.nodes:
            counts = [len(at[bank]) for bank in graph.banks]
            if not any(counts):
                continue
            nodes = torch.cat([banks[bank] for bank in graph.banks])
            found = self.layers[graph.name](nodes, _joined(banks, at, graph)).split(counts)
            for bank, embeddings in zip(graph.banks, found, strict=True):
                out[bank] = embeddings
        return out

    def of(self, banks: Four, bank: int, places: Tensor) -> Tensor:
        """`forward` for places [B] of one bank alone: [B, d]."""
        found: list[Tensor] = self(banks, [places if number == bank else places[:0] for number in range(len(banks))])
        return found[bank]

    def join(self, banks: Four, bank: int, items: Tensor) -> Tensor:
        """Unit embeddings [n, d] of the kind that `bank` holds, each joined to the bank's graph by itself: [n, d].

        Items receive and do not send: all else is as if they were not there, so they may be computed together.
        """
        for graph in self.nodes:
            if bank in graph.banks:
                nodes = torch.cat([banks[number] for number in graph.banks])
                places = torch.arange(len(items), device=items.device) + len(nodes)
                found: Tensor = self.layers[graph.name](torch.cat((nodes, items)), places, len(nodes))
                return found
        return items


def _joined(banks: Four, at: Four, graph: GraphNodes) -> Tensor:
    """The places in a graph's banks, as places in its nodes."""
    shifted, before = [], 0
    for bank in graph.banks:
        shifted.append(at[bank] + before)
        before += len(banks[bank])
    return torch.cat(shifted)


def message_passing(config: Gnn, width: int) -> Graphs:
    """The graphs of a config, their layers newly initialised."""
    nodes = graphs(config)
    return Graphs(nodes, {name: Propagation(config, width) for name in dict.fromkeys(graph.name for graph in nodes)})

"""Message passing on embeddings of the four memory banks, over the graphs that a config describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gckd.config.banks import GraphNodes
from gckd.config.graph import Gnn
from gckd.graph.neighbour_search import neighbour_search

if TYPE_CHECKING:
    from gckd.graph.propagation import GraphPropagation

PerBankTensors = Sequence[Tensor]  # one tensor for each of Q_SI, Q_ST, Q_TI and Q_TT, in this order


class BankGraphs(nn.Module):
    """Graphs over the four banks, and their layers. Embeddings of banks without a graph pass through unchanged.

    Args:
        graphs: the banks of each graph. A bank is in at most one graph.
        layers: propagation by graph name; graphs of the same name share their layers.
    """

    def __init__(self, graphs: Sequence[GraphNodes] = (), layers: Mapping[str, GraphPropagation] | None = None) -> None:
        super().__init__()
        self.graphs = tuple(graphs)
        self.layers = nn.ModuleDict(layers)

    def forward(self, banks: PerBankTensors, positions: PerBankTensors) -> list[Tensor]:
        """Propagated embeddings [B, d] of the entries at some positions of each bank.

        Args:
            banks: unit embeddings [N, d] per bank.
            positions: indices [B] per bank.

        Raises:
            ValueError: K is not below the number of nodes of a graph.
        """
        out = [bank[entries] for bank, entries in zip(banks, positions, strict=True)]
        for graph in self.graphs:
            counts = [len(positions[bank]) for bank in graph.banks]
            if not any(counts):
                continue
            nodes = torch.cat([banks[bank] for bank in graph.banks])
            propagated = self.layers[graph.name](nodes, _node_indices(banks, positions, graph)).split(counts)
            for bank, embeddings in zip(graph.banks, propagated, strict=True):
                out[bank] = embeddings
        return out

    def join(self, banks: PerBankTensors, bank: int, items: Tensor) -> Tensor:
        """Propagated embeddings of items that are in no bank; each is added to the graph of bank number `bank`.

        Items receive and do not send, so the result for an item does not depend on the other items.

        Shapes:
            items [n, d], unit vectors -> [n, d].
        """
        for graph in self.graphs:
            if bank in graph.banks:
                nodes = torch.cat([banks[number] for number in graph.banks])
                inputs = torch.arange(len(items), device=items.device) + len(nodes)
                propagated: Tensor = self.layers[graph.name](torch.cat((nodes, items)), inputs, len(nodes))
                return propagated
        return items


def _node_indices(banks: PerBankTensors, positions: PerBankTensors, graph: GraphNodes) -> Tensor:
    """Indices into the nodes of a graph, which are the entries of its banks, one bank after another."""
    shifted, offset = [], 0
    for bank in graph.banks:
        shifted.append(positions[bank] + offset)
        offset += len(banks[bank])
    return torch.cat(shifted)


def bank_graphs(config: Gnn, width: int) -> BankGraphs:
    """Graphs of a config, with newly initialised layers for embeddings of `width` d."""
    # Here, because PyG takes longer to import than the rest of a run, and only this message passing needs it.
    from gckd.graph.propagation import GraphPropagation

    graphs = config.graphs()
    layers = {
        name: GraphPropagation(
            config.k,
            config.layers,
            conv=config.conv,
            residual=config.residual,
            temperature=config.temperature,
            relative=config.relative,
            reciprocal=config.reciprocal,
            threshold=config.threshold,
            self_edge=config.self_edge,
            width=width,
            search=neighbour_search(config),
        )
        for name in dict.fromkeys(graph.name for graph in graphs)
    }
    return BankGraphs(graphs, layers)

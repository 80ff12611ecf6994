"""Graph-based message passing (eq. 3-4) on embeddings, over the two-hop neighbourhood of the input nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GATv2Conv, GCNConv, GINConv, MessagePassing, SAGEConv

from gckd.config.banks import GraphNodes
from gckd.config.graph import Gnn
from gckd.graph.subgraph import Nodes, neighbourhood


class Smoothing(MessagePassing):  # type: ignore[misc]
    """Parameter-free convolution: the weighted mean of a node's neighbours; edge weights [E] sum to 1 per node."""

    def __init__(self) -> None:
        super().__init__(aggr="add")

    def forward(self, x: Tensor, receivers: int, edges: Tensor, weights: Tensor) -> Tensor:
        out: Tensor = self.propagate(edges, x=(x, None), weights=weights, size=(len(x), receivers))
        return out

    def message(self, x_j: Tensor, weights: Tensor) -> Tensor:
        return x_j * weights[:, None]


class Propagation(nn.Module):
    """L layers of x_i <- unit(r x_i + (1 - r) conv_i) on the KNN graph of some nodes (eq. 4).

    The input nodes are the banks' newest entries, so they are nodes once, not twice. A learned convolution starts as
    smoothing: its own output is added to it through a zero-initialised linear layer.

    Shapes: nodes [N, d], inputs [B] indices into them -> propagated unit embeddings [B, d]; only the first `senders`
    nodes are anyone's neighbours (None: all). Equal to the same layers
    on the whole graph, but touching only the nodes that the B outputs depend on.
    """

    def __init__(self, config: Gnn, width: int) -> None:
        super().__init__()
        self.config = config
        self.smooth = Smoothing()
        self.convs = nn.ModuleList()
        self.gates = nn.ModuleList()
        for _ in range(config.layers if config.conv != "smooth" else 0):
            self.convs.append(_CONVOLUTIONS[config.conv](width))
            gate = nn.Linear(width, width, bias=False)
            nn.init.zeros_(gate.weight)
            self.gates.append(gate)

    def forward(self, nodes: Tensor, inputs: Tensor, senders: int | None = None) -> Tensor:
        config = self.config
        around = neighbourhood(Nodes(nodes, senders), inputs, config.layers, config.k, config.temperature)
        x = nodes[around.order]
        for layer, receivers in enumerate(around.receivers):
            used = receivers * config.k
            x = self.layer(layer, x, receivers, around.edges[:, :used], around.weights[:used])
        return x[around.place]

    def layer(self, index: int, x: Tensor, receivers: int, edges: Tensor, weights: Tensor) -> Tensor:
        """One layer: node features [n, d], edges [2, E] and weights [E] -> features of the first `receivers` nodes."""
        own = x[:receivers]
        message = self.smooth(x, receivers, edges, weights)
        if len(self.convs):
            message = message + self.gates[index](F.gelu(self.convs[index]((x, own), edges)))
        r = self.config.residual
        return F.normalize(r * own + (1 - r) * message, dim=-1)


class Gcn(nn.Module):
    """PyG's GCNConv (Kipf and Welling, ICLR 2017) on a part of a KNN graph, equal to itself on the whole.

    GCNConv divides by the degrees that it counts, and a part has no edges into its outermost nodes. Of the whole graph
    they are known: K edges go into every node, and its self-loop, so that each of them weighs 1 / (K + 1).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = GCNConv(width, width, normalize=False)

    def forward(self, x: tuple[Tensor, Tensor], edges: Tensor) -> Tensor:
        sources, own = x
        loops = torch.arange(len(own), device=edges.device).expand(2, -1)
        edges = torch.cat((edges, loops), 1)
        weights = sources.new_full((edges.shape[1],), len(own) / edges.shape[1])
        out: Tensor = self.conv(sources, edges, weights)[: len(own)]
        return out


def _gin(width: int) -> nn.Module:
    """GIN-0 (Xu et al., ICLR 2019); that its network has no batch normalisation is ours."""
    made: nn.Module = GINConv(nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)))
    return made


# Each takes ((features of all nodes, of the receivers), edges); the receivers come first among the nodes.
_CONVOLUTIONS: dict[str, Callable[[int], nn.Module]] = {
    "gcn": Gcn,
    "sage": lambda width: SAGEConv(width, width),
    "gatv2": lambda width: GATv2Conv(width, width, add_self_loops=False),
    "gin": _gin,
}


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
    nodes = config.graphs()
    return Graphs(nodes, {name: Propagation(config, width) for name in dict.fromkeys(graph.name for graph in nodes)})

"""Graph-based message passing on embeddings (eq. 3-4)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GATv2Conv, GCNConv, GINConv, MessagePassing, SAGEConv

from gckd.config.graph import PLAIN_EDGES, EdgeRule
from gckd.errors import unknown_choice
from gckd.graph.edges import weighted_edges
from gckd.graph.knn import KnnIndex, NeighbourSearch
from gckd.graph.subgraph import neighbourhood


class Smoothing(MessagePassing):  # type: ignore[misc]
    """Convolution without parameters: the weighted mean of a node's neighbours; weights [E] sum to 1 per node."""

    def __init__(self) -> None:
        super().__init__(aggr="add")

    def forward(self, x: Tensor, receivers: int, edges: Tensor, weights: Tensor) -> Tensor:
        out: Tensor = self.propagate(edges, x=(x, None), weights=weights, size=(len(x), receivers))
        return out

    def message(self, x_j: Tensor, weights: Tensor) -> Tensor:
        return x_j * weights[:, None]


class GraphPropagation(nn.Module):
    """Message passing on the KNN graph of some embeddings (eq. 3-4).

        A = KNN(V, K), by cosine
        x_i^(l+1) = unit(r x_i^(l) + (1 - r) conv_i(X^(l), A)),  l = 0, ..., L - 1

    Example:
        >>> embeddings = torch.nn.functional.normalize(torch.randn(100, 256), dim=1)
        >>> GraphPropagation(k=10, layers=2)(embeddings).shape
        torch.Size([100, 256])

    Args:
        k: K, neighbours per node.
        layers: L.
        conv: `smooth`, the weighted mean of the neighbours, which has no parameters; or a learned convolution `gcn`,
            `sage`, `gatv2` or `gin`. The output of a learned convolution is added to the weighted mean through a linear
            layer that starts at zero, so that training starts from `smooth`.
        residual: r, weight of a node's own embedding.
        temperature: edge weights are softmax(cosine / temperature) over a node's edges.
        relative: multiply the temperature by the cosine distance of each node's nearest neighbour.
        reciprocal: drop edges from neighbours that do not have the node among their own K nearest.
        threshold: drop edges of a smaller cosine; -1: none. A node without edges keeps its own embedding.
        self_edge: a node has an edge to itself, of cosine 1. These three need `smooth`.
        width: d; only learned convolutions need it.
        search: finds the neighbours; None: exact search.

    Shapes:
        embeddings [N, d], unit vectors; inputs [B], indices of the nodes to propagate -> unit vectors [B, d]. The
        result equals propagation of the whole graph, but only the L-hop neighbourhood of the inputs is computed.

    Differences from the paper: K = 10 and L = 2 are the paper's. It does not state the convolution; `conv`, `residual`,
    `temperature`, `relative`, `reciprocal`, `threshold` and `self_edge` are ours.

    Raises:
        ValueError: an unknown convolution, or a learned one without `width` or with edges that it cannot read; in
            `forward`, K is not below the number of nodes.
    """

    def __init__(
        self,
        k: int = 10,
        layers: int = 2,
        *,
        conv: str = "smooth",
        residual: float = 0.5,
        temperature: float = 0.05,
        reciprocal: bool = False,
        threshold: float = -1.0,
        self_edge: bool = False,
        relative: bool = False,
        width: int | None = None,
        search: NeighbourSearch | None = None,
    ) -> None:
        super().__init__()
        self.search = search
        self.layers, self.conv, self.residual = layers, conv, residual
        self.edge_rule = EdgeRule(k, temperature, reciprocal, threshold, self_edge, relative)
        self.smooth = Smoothing()
        self.convs = nn.ModuleList()
        self.gates = nn.ModuleList()
        if conv == "smooth":
            return
        if conv not in _CONVOLUTIONS:
            raise ValueError(f"conv: {unknown_choice('convolution', conv, ('smooth', *_CONVOLUTIONS))}")
        if width is None:
            raise ValueError(f"conv: {conv!r} has parameters; give width = d, the embedding width")
        if self.edge_rule.drops_edges or self_edge:
            raise ValueError(f"conv: {conv!r} reads all K edges; {PLAIN_EDGES}")
        for _ in range(layers):
            self.convs.append(_CONVOLUTIONS[conv](width))
            gate = nn.Linear(width, width, bias=False)
            nn.init.zeros_(gate.weight)
            self.gates.append(gate)

    def forward(self, embeddings: Tensor, inputs: Tensor | None = None, senders: int | None = None) -> Tensor:
        """Propagated embeddings [B, d].

        Args:
            embeddings: [N, d], unit vectors.
            inputs: indices [B] of the nodes to propagate; None: all N.
            senders: only the first `senders` nodes can be neighbours, so the others receive without sending; None: all.
        """
        if inputs is None:
            inputs = torch.arange(len(embeddings), device=embeddings.device)
        index = KnnIndex(embeddings, senders, self.search)
        edges_of = partial(weighted_edges, index, rule=self.edge_rule)
        graph = neighbourhood(len(index), edges_of, inputs, self.layers)
        x = embeddings[graph.nodes]
        for layer, receivers in enumerate(graph.receivers):
            edges = torch.stack((graph.senders[:receivers].flatten(), graph.edge_receivers(receivers)))
            x = self.layer(layer, x, receivers, edges, graph.weights[:receivers].flatten())
        return x[graph.input_positions]

    def layer(self, number: int, x: Tensor, receivers: int, edges: Tensor, weights: Tensor) -> Tensor:
        """One layer: features [n, d], edges [2, E], weights [E] -> features [receivers, d] of the first nodes."""
        x_receivers = x[:receivers]
        message = self.smooth(x, receivers, edges, weights)
        if len(self.convs):
            message = message + self.gates[number](F.gelu(self.convs[number]((x, x_receivers), edges)))
        r = self.residual
        return F.normalize(r * x_receivers + (1 - r) * message, dim=-1)


class Gcn(nn.Module):
    """PyG's GCNConv (Kipf and Welling, ICLR 2017) on part of a KNN graph, with the degrees of the whole graph.

    GCNConv normalises by the degrees it counts, but the outermost nodes of a part have no incoming edges in it. In the
    whole graph every node has K incoming edges and a self-loop, so each edge weighs 1 / (K + 1).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = GCNConv(width, width, normalize=False)

    def forward(self, x: tuple[Tensor, Tensor], edges: Tensor) -> Tensor:
        sources, x_receivers = x
        loops = torch.arange(len(x_receivers), device=edges.device).expand(2, -1)
        edges = torch.cat((edges, loops), 1)
        weights = sources.new_full((edges.shape[1],), len(x_receivers) / edges.shape[1])
        out: Tensor = self.conv(sources, edges, weights)[: len(x_receivers)]
        return out


def _gin(width: int) -> nn.Module:
    """GIN-0 (Xu et al., ICLR 2019). Differs: its network has no batch normalisation."""
    conv: nn.Module = GINConv(nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)))
    return conv


# Each takes ((features of all nodes, features of the receivers), edges); the receivers are the first nodes.
_CONVOLUTIONS: dict[str, Callable[[int], nn.Module]] = {
    "gcn": Gcn,
    "sage": lambda width: SAGEConv(width, width),
    "gatv2": lambda width: GATv2Conv(width, width, add_self_loops=False),
    "gin": _gin,
}

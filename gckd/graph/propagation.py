"""Graph-based message passing (eq. 3-4) on embeddings, over the two-hop neighbourhood of the input nodes."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GATv2Conv, MessagePassing, SAGEConv

from gckd.config.graph import Gnn
from gckd.graph.neighbourhood import Nodes, neighbourhood


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

    Shapes: nodes [N, d], inputs [B] indices into them -> propagated unit embeddings [B, d]. Equal to the same layers
    on the whole graph, but touching only the nodes that the B outputs depend on.
    """

    def __init__(self, config: Gnn, width: int) -> None:
        super().__init__()
        self.config = config
        self.smooth = Smoothing()
        self.convs = nn.ModuleList()
        self.gates = nn.ModuleList()
        for _ in range(config.layers if config.conv != "smooth" else 0):
            self.convs.append(_convolution(config.conv, width))
            gate = nn.Linear(width, width, bias=False)
            nn.init.zeros_(gate.weight)
            self.gates.append(gate)

    def forward(self, nodes: Tensor, inputs: Tensor) -> Tensor:
        config = self.config
        around = neighbourhood(Nodes(nodes), inputs, config.layers, config.k, config.temperature)
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


def _convolution(name: str, width: int) -> nn.Module:
    made: nn.Module = SAGEConv(width, width) if name == "sage" else GATv2Conv(width, width, add_self_loops=False)
    return made

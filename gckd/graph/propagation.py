"""Graph-based message passing (eq. 3-4) over the two-hop neighbourhood of the input nodes. The only import of PyG."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GATv2Conv, MessagePassing, SAGEConv

from gckd.config.schema import Gnn
from gckd.graph.knn import nearest


class Smoothing(MessagePassing):  # type: ignore[misc]
    """Parameter-free convolution: the weighted mean of a node's neighbours; edge weights [E] sum to 1 per node."""

    def __init__(self) -> None:
        super().__init__(aggr="add")

    def forward(self, x: Tensor, edges: Tensor, weights: Tensor) -> Tensor:
        out: Tensor = self.propagate(edges, x=x, weights=weights)
        return out

    def message(self, x_j: Tensor, weights: Tensor) -> Tensor:
        return x_j * weights[:, None]


class Propagation(nn.Module):
    """L layers of x_i <- unit(r x_i + (1 - r) conv_i), on the KNN graph of V = V_src_mem + V_tgt_mem (eq. 4).

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
        frontier, edges, weights = self._edges(nodes, inputs)
        everyone, local = torch.unique(torch.cat((frontier, edges.flatten())), return_inverse=True)
        sources = local[len(frontier) :].view(2, -1)
        x = nodes[everyone]
        for layer in range(self.config.layers):
            x = self.layer(layer, x, sources, weights)
        return x[torch.searchsorted(everyone, inputs)]

    def layer(self, index: int, x: Tensor, edges: Tensor, weights: Tensor) -> Tensor:
        """One layer on local node features [n, d] with edges [2, E] (source, receiver) and weights [E]."""
        message = self.smooth(x, edges, weights)
        if len(self.convs):
            message = message + self.gates[index](F.gelu(self.convs[index](x, edges)))
        r = self.config.residual
        return F.normalize(r * x + (1 - r) * message, dim=-1)

    @torch.no_grad()
    def _edges(self, nodes: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Edges into the inputs and into everything they depend on: L - 1 rounds of neighbours of neighbours."""
        frontier = torch.unique(inputs)
        for _ in range(self.config.layers - 1):
            frontier = torch.unique(torch.cat((frontier, nearest(nodes, frontier, self.config.k).index.flatten())))
        found = nearest(nodes, frontier, self.config.k)
        weights = F.softmax(found.cosine / self.config.temperature, 1).flatten()
        receivers = frontier.repeat_interleave(self.config.k)
        return frontier, torch.stack((found.index.flatten(), receivers)), weights


class Identity(nn.Module):
    """No graph: the input nodes' own embeddings."""

    def forward(self, nodes: Tensor, inputs: Tensor) -> Tensor:
        return nodes[inputs]


def _convolution(name: str, width: int) -> nn.Module:
    made: nn.Module
    if name == "sage":
        made = SAGEConv(width, width)
    else:
        made = GATv2Conv(width, width, add_self_loops=False)
    return made

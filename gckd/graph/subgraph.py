"""Part of a KNN graph (eq. 3) that the outputs at some nodes depend on: their L-hop neighbourhood."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gckd.graph.edges import Edges


class Neighbourhood(NamedTuple):
    """L-hop neighbourhood of B inputs. The n nodes are ordered so that each layer's receivers are a prefix of them."""

    nodes: Tensor  # [n] indices into all nodes; the distinct inputs first, then hop by hop
    input_positions: Tensor  # [B] position of each input in `nodes`
    receivers: list[int]  # per layer, first layer first: number of nodes whose output later layers need
    senders: Tensor  # [receivers of the first layer, E] positions in `nodes`
    weights: Tensor  # [receivers of the first layer, E] sum to 1 per receiver

    def edge_receivers(self, receivers: int) -> Tensor:
        """Receiver of each edge to the first nodes, [receivers x E]."""
        return torch.arange(receivers, device=self.nodes.device).repeat_interleave(self.senders.shape[1])


@torch.no_grad()
def neighbourhood(count: int, edges_of: Callable[[Tensor], Edges], inputs: Tensor, layers: int) -> Neighbourhood:
    """L-hop neighbourhood of some nodes. The edges of each node are computed once.

    Sets of nodes are computed on the CPU, which waits for a GPU once per layer. On the GPU, it would wait for the size
    of every set.

    Args:
        count: number of nodes of the whole graph.
        edges_of: incoming edges of the nodes with indices [n], on the device of `inputs`.
        inputs: indices [B] of the nodes whose outputs are needed.
        layers: L.
    """
    device = inputs.device
    nodes, input_positions = torch.unique(inputs.cpu(), return_inverse=True)
    visited = torch.zeros(count, dtype=torch.bool, device="cpu")
    hops: list[Edges] = []
    hop_senders: list[Tensor] = []  # on the CPU
    receivers: list[int] = []
    frontier = nodes
    for _ in range(layers):
        hops.append(edges_of(frontier.to(device)))
        hop_senders.append(hops[-1].senders.cpu())
        receivers.insert(0, len(nodes))
        visited[frontier] = True
        frontier = torch.unique(hop_senders[-1])
        frontier = frontier[~visited[frontier]]
        nodes = torch.cat((nodes, frontier))
    position = torch.zeros(count, dtype=torch.long, device="cpu")
    position[nodes] = torch.arange(len(nodes), device="cpu")
    senders = position[torch.cat(hop_senders)]
    on_device = (indices.to(device) for indices in (nodes, input_positions, senders))
    nodes, input_positions, senders = on_device
    return Neighbourhood(nodes, input_positions, receivers, senders, torch.cat([hop.weights for hop in hops]))

"""Part of a KNN graph (eq. 3) that the outputs at some nodes depend on: their L-hop neighbourhood."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.graph.knn import Neighbours, nearest


class Neighbourhood(NamedTuple):
    """L-hop neighbourhood of B inputs. The n nodes are ordered so that each layer's receivers are a prefix of them."""

    nodes: Tensor  # [n] indices into all nodes; the distinct inputs first, then hop by hop
    input_positions: Tensor  # [B] position of each input in `nodes`
    receivers: list[int]  # per layer, first layer first: number of nodes whose output later layers need
    edges: Tensor  # [2, E] (source, receiver) as positions in `nodes`, K edges per receiver, sorted by receiver
    weights: Tensor  # [E] softmax(cosine / temperature) over a receiver's K edges


class KnnIndex:
    """K nearest neighbours among unit vectors [N, d]. Neighbours of all nodes are computed once per K and kept.

    Args:
        senders: only the first `senders` nodes can be neighbours; None: all N.
    """

    def __init__(self, embeddings: Tensor, senders: int | None = None) -> None:
        self.embeddings, self.senders = embeddings, senders
        self._neighbours: dict[int, Neighbours] = {}

    def __len__(self) -> int:
        return len(self.embeddings)

    def neighbours(self, k: int) -> Neighbours:
        """The K nearest neighbours of all N nodes.

        Raises:
            ValueError: K is not below the number of senders.
        """
        if k not in self._neighbours:
            all_nodes = torch.arange(len(self), device=self.embeddings.device)
            self._neighbours[k] = nearest(self.embeddings, all_nodes, k, senders=self.senders)
        return self._neighbours[k]

    def neighbours_of(self, nodes: Tensor, k: int) -> Neighbours:
        """The K nearest neighbours of the nodes with indices `nodes` [n]; see `neighbours`."""
        if k not in self._neighbours:
            return nearest(self.embeddings, nodes, k, senders=self.senders)
        neighbours = self._neighbours[k]
        return Neighbours(neighbours.indices[nodes], neighbours.cosine[nodes])


@torch.no_grad()
def neighbourhood(index: KnnIndex, inputs: Tensor, layers: int, k: int, temperature: float) -> Neighbourhood:
    """L-hop neighbourhood of some nodes. The neighbours of each node are computed once.

    Args:
        inputs: indices [B] of the nodes whose outputs are needed.
        layers: L.
        temperature: of the edge weights.

    Raises:
        ValueError: K is not below the number of senders.
    """
    device = index.embeddings.device
    nodes, input_positions = torch.unique(inputs, return_inverse=True)
    visited = torch.zeros(len(index), dtype=torch.bool, device=device)
    hops: list[Neighbours] = []
    receivers: list[int] = []
    frontier = nodes
    for _ in range(layers):
        hops.append(index.neighbours_of(frontier, k))
        receivers.insert(0, len(nodes))
        visited[frontier] = True
        frontier = torch.unique(hops[-1].indices)
        frontier = frontier[~visited[frontier]]
        nodes = torch.cat((nodes, frontier))
    position = torch.zeros(len(index), dtype=torch.long, device=device)
    position[nodes] = torch.arange(len(nodes), device=device)
    sources = position[torch.cat([hop.indices for hop in hops]).flatten()]
    targets = torch.arange(receivers[0], device=device).repeat_interleave(k)
    weights = F.softmax(torch.cat([hop.cosine for hop in hops]) / temperature, 1).flatten()
    return Neighbourhood(nodes, input_positions, receivers, torch.stack((sources, targets)), weights)

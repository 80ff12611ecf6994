"""The part of a KNN graph (eq. 3) that some nodes depend on: never more than their L-hop neighbourhood."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.graph.knn import Neighbours, nearest


class Neighbourhood(NamedTuple):
    """What B inputs depend on, in an order in which every layer's receivers are a prefix of its sources."""

    order: Tensor  # [n] indices into the nodes; the distinct inputs first, then hop by hop
    place: Tensor  # [B] where each input stands in `order`
    receivers: list[int]  # of each layer, first layer first: the nodes whose output the later layers need
    edges: Tensor  # [2, E] (source, receiver) as places in `order`, K to a receiver, sorted by receiver
    weights: Tensor  # [E], softmax(cosine / temperature) over a receiver's K edges


class Nodes:
    """The nodes of a graph, unit vectors [N, d]; neighbours that several graphs of one step ask for are found once.

    Only the first `senders` of them are anyone's neighbours (None: all).
    """

    def __init__(self, embeddings: Tensor, senders: int | None = None) -> None:
        self.embeddings, self.senders = embeddings, senders
        self._found: dict[int, Neighbours] = {}

    def __len__(self) -> int:
        return len(self.embeddings)

    def all(self, k: int) -> Neighbours:
        """Every node's K nearest.

        Raises:
            ValueError: K is not below N.
        """
        if k not in self._found:
            everyone = torch.arange(len(self), device=self.embeddings.device)
            self._found[k] = nearest(self.embeddings, everyone, k, senders=self.senders)
        return self._found[k]

    def some(self, inputs: Tensor, k: int) -> Neighbours:
        """The K nearest of the nodes `inputs` [n]; looked up where all are known, else found for them alone."""
        if k not in self._found:
            return nearest(self.embeddings, inputs, k, senders=self.senders)
        known = self._found[k]
        return Neighbours(known.index[inputs], known.cosine[inputs])


@torch.no_grad()
def neighbourhood(nodes: Nodes, inputs: Tensor, layers: int, k: int, temperature: float) -> Neighbourhood:
    """The inputs and what they depend on: `layers` rounds of K neighbours, each node's looked up once.

    Args:
        inputs: [B] indices into the nodes.

    Raises:
        ValueError: K is not below N.
    """
    device = nodes.embeddings.device
    order, place = torch.unique(inputs, return_inverse=True)
    seen = torch.zeros(len(nodes), dtype=torch.bool, device=device)
    found: list[Neighbours] = []
    receivers: list[int] = []
    fresh = order
    for _ in range(layers):
        found.append(nodes.some(fresh, k))
        receivers.insert(0, len(order))
        seen[fresh] = True
        fresh = torch.unique(found[-1].index)
        fresh = fresh[~seen[fresh]]
        order = torch.cat((order, fresh))
    local = torch.zeros(len(nodes), dtype=torch.long, device=device)
    local[order] = torch.arange(len(order), device=device)
    sources = local[torch.cat([near.index for near in found]).flatten()]
    takers = torch.arange(receivers[0], device=device).repeat_interleave(k)
    weights = F.softmax(torch.cat([near.cosine for near in found]) / temperature, 1).flatten()
    return Neighbourhood(order, place, receivers, torch.stack((sources, takers)), weights)

"""Exact nearest neighbours by cosine (eq. 3), computed in blocks without an N x N matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.graph.division import divides, of_all_rows

BLOCK = 64  # columns per maximum in `_top`


class Neighbours(NamedTuple):
    """The K nearest nodes of n queries: indices and cosines, both [n, K], nearest first."""

    indices: Tensor
    cosine: Tensor


def nearest(nodes: Tensor, queries: Tensor, k: int, block: int = 256, senders: int | None = None) -> Neighbours:
    """KNN(V, K) of eq. 3 for some of the nodes. A node is never its own neighbour.

    Args:
        nodes: V, unit vectors [N, d].
        queries: indices [n] into `nodes`.
        k: K, neighbours per query.
        block: queries per block, to limit memory.
        senders: only the first `senders` nodes can be neighbours; None: all N.

    Raises:
        ValueError: K is not below the number of senders.
    """
    count = check_count(nodes, k, senders)
    padded = F.pad(nodes, (0, 0, 0, -len(nodes) % BLOCK))
    parts = []
    for part in queries.split(block):
        cosine = nodes[part] @ padded.T
        cosine[:, count:] = -torch.inf
        cosine[torch.arange(len(part), device=part.device), part] = -torch.inf
        parts.append(_top(cosine, k))
    return Neighbours(torch.cat([part.indices for part in parts]), torch.cat([part.cosine for part in parts]))


def check_count(nodes: Tensor, k: int, senders: int | None) -> int:
    """Number of nodes that can be neighbours.

    Raises:
        ValueError: K is not below it.
    """
    count = len(nodes) if senders is None else senders
    if k >= count:
        raise ValueError(f"K = {k} is outside its limit: < {count} nodes")
    return count


def _top(cosine: Tensor, k: int) -> Neighbours:
    """The K largest values of each row [n, N], N a multiple of BLOCK.

    They are in the K blocks with the largest maxima. Maxima are vectorised and `topk` is not, so on long rows this is
    twice as fast as `topk`.
    """
    blocks = cosine.unflatten(1, (-1, BLOCK))
    if blocks.shape[1] < 4 * k:
        values, indices = cosine.topk(k, dim=1)
        return Neighbours(indices, values)
    best = blocks.amax(2).topk(k, dim=1, sorted=False).indices
    candidates = blocks.gather(1, best[:, :, None].expand(-1, -1, BLOCK)).flatten(1)
    values, place = candidates.topk(k, dim=1)
    return Neighbours(best.gather(1, place // BLOCK) * BLOCK + place % BLOCK, values)


class CentredBank(NamedTuple):
    """Entries of a bank, before and after their mean is subtracted."""

    entries: Tensor  # [N, d], unit vectors
    mean: Tensor  # [d]
    unit: Tensor  # [N, d], `centred(entries, mean)`


class NeighbourSearch:
    """Exact search with torch. A subclass searches in another way (slot `graph.propagate.search`)."""

    def __call__(self, nodes: Tensor, queries: Tensor, k: int, senders: int | None = None) -> Neighbours:
        """The K nearest neighbours of the nodes with indices `queries` [n] among unit vectors [N, d]; see `nearest`.

        Raises:
            ValueError: K is not below the number of senders.
        """
        return nearest(nodes, queries, k, senders=senders)

    def of_bank(self, name: str, bank: CentredBank, k: int) -> Neighbours:
        """The K nearest neighbours of all N entries of a bank, which is called `name` at every step.

        The workers of a run, which must all call it, divide the entries of a large bank.

        Raises:
            ValueError: K is not below N.
        """
        return search_of_all(lambda rows: self(bank.unit, rows, k), bank.unit)


def search_of_all(search: Callable[[Tensor], Neighbours], nodes: Tensor) -> Neighbours:
    """Neighbours of all nodes [N, d] by a search of the nodes with indices [n]; the workers of a run divide them."""
    rows, divided = torch.arange(len(nodes), device=nodes.device), divides(len(nodes) ** 2)
    if not divided:
        return search(rows)
    # float64 holds an index and a float32 cosine exactly.
    packed = of_all_rows(lambda own: torch.stack([part.double() for part in search(own)], 2), rows, divided)
    return Neighbours(packed[:, :, 0].long(), packed[:, :, 1].to(nodes.dtype))


class KnnIndex:
    """K nearest neighbours among unit vectors [N, d]. Neighbours of all nodes are computed once per K and kept.

    Args:
        senders: only the first `senders` nodes can be neighbours; None: all N.
        search: finds the neighbours of some nodes; None: exact search.
        search_all: finds the K nearest neighbours of all N nodes, given K; None: `search` does.
    """

    def __init__(
        self,
        embeddings: Tensor,
        senders: int | None = None,
        search: NeighbourSearch | None = None,
        search_all: Callable[[int], Neighbours] | None = None,
    ) -> None:
        self.embeddings, self.senders = embeddings, senders
        self.search, self._search_all = search or NeighbourSearch(), search_all
        self._neighbours: dict[int, Neighbours] = {}

    def __len__(self) -> int:
        return len(self.embeddings)

    def neighbours(self, k: int) -> Neighbours:
        """The K nearest neighbours of all N nodes.

        Raises:
            ValueError: K is not below the number of senders.
        """
        if k not in self._neighbours:
            self._neighbours[k] = self._search_all(k) if self._search_all else self._neighbours_of_all(k)
        return self._neighbours[k]

    def neighbours_of(self, nodes: Tensor, k: int) -> Neighbours:
        """The K nearest neighbours of the nodes with indices `nodes` [n]; see `neighbours`."""
        if k not in self._neighbours:
            return self.search(self.embeddings, nodes, k, senders=self.senders)
        neighbours = self._neighbours[k]
        return Neighbours(neighbours.indices[nodes], neighbours.cosine[nodes])

    def _neighbours_of_all(self, k: int) -> Neighbours:
        nodes = torch.arange(len(self), device=self.embeddings.device)
        return self.search(self.embeddings, nodes, k, senders=self.senders)

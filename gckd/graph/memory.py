"""The memory banks (eq. 1-2): FIFO, with pointer and fill count as buffers so that a resume keeps them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MemoryBank(nn.Module):
    """The C most recent embeddings of one domain and modality.

    Args:
        capacity: C, entries.
        width: d, embedding width.

    Beside each unit embedding stand the dataset row it came from (so that its image or caption can be fetched again)
    and its identity: -1 throughout in target banks, which never see one.
    """

    embeddings: Tensor
    rows: Tensor
    identities: Tensor
    pointer: Tensor
    count: Tensor

    def __init__(self, capacity: int, width: int) -> None:
        super().__init__()
        self.register_buffer("embeddings", torch.zeros(capacity, width))
        self.register_buffer("rows", torch.full((capacity,), -1, dtype=torch.long))
        self.register_buffer("identities", torch.full((capacity,), -1, dtype=torch.long))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def __len__(self) -> int:
        return int(self.count)

    @torch.no_grad()
    def push(self, embeddings: Tensor, rows: Tensor, identities: Tensor | None = None) -> Tensor:
        """Write B entries, each over its own older embedding or else over the oldest entry; returns their places [B].

        An example that was in the bank twice would be its own nearest neighbour.

        Args:
            embeddings: [B, d] unit vectors; rows, identities: [B], rows all different.

        Raises:
            ValueError: B exceeds the capacity, so that a batch would overwrite itself.
        """
        batch, capacity = len(embeddings), len(self.embeddings)
        if batch > capacity:
            raise ValueError(f"a batch of {batch} does not fit a bank of C = {capacity}")
        where = self._places(rows)
        self.embeddings[where] = embeddings.to(self.embeddings)
        self.rows[where] = rows
        if identities is not None:
            self.identities[where] = identities
        return where

    def _places(self, rows: Tensor) -> Tensor:
        """Where each of `rows` [B] goes; moves pointer and fill count on."""
        capacity = len(self.rows)
        same = self.rows[None, :] == rows[:, None]
        known = same.any(1)
        places = same.int().argmax(1)
        queue = (self.pointer + torch.arange(capacity, device=rows.device)) % capacity
        queue = queue[~torch.isin(queue, places[known])][: int((~known).sum())]
        places[~known] = queue
        if len(queue):
            self.pointer.copy_((queue[-1] + 1) % capacity)
        self.count.copy_((self.count + len(queue)).clamp(max=capacity))
        return places

    def filled(self) -> Tensor:
        """The written part of the embeddings, [count, d]. FIFO fills positions in order, so it is a prefix."""
        return self.embeddings[: len(self)]

    def mean(self) -> Tensor:
        """Mean embedding [d] of what is filled; zero for an empty bank."""
        return self.filled().sum(0) / max(len(self), 1)


def centred(embeddings: Tensor, mean: Tensor) -> Tensor:
    """Embeddings [N, d] without the mean [d] of their domain and modality, back on the unit sphere.

    Cosine then compares what tells members of one domain apart, not what the domain has in common. A mean of zero
    leaves unit vectors as they are.
    """
    return F.normalize(embeddings - mean, dim=-1)

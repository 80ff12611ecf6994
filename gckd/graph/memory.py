"""Memory banks (eq. 1-2): FIFO queues of embeddings. Pointer and fill count are buffers, so a checkpoint has them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MemoryBank(nn.Module):
    """FIFO queue of the C most recent embeddings of one domain and modality (eq. 1-2).

    Example:
        >>> bank = MemoryBank(capacity=4096, width=256)
        >>> positions = bank.push(torch.nn.functional.normalize(torch.randn(32, 256), dim=1))
        >>> bank.filled().shape
        torch.Size([32, 256])

    Args:
        capacity: C, entries.
        width: d, embedding width.

    Attributes:
        embeddings: [C, d] unit vectors.
        rows: [C] dataset row of each entry, from which its image or caption can be read again; -1 if unknown. On the
            CPU, so that finding the position of a new entry does not wait for the GPU; likewise `pointer` and `count`.
        identities: [C] identity of each entry; -1 if unknown, as in all target banks.
        pointer: position of the oldest entry, which is overwritten next.
        count: filled entries.
    """

    embeddings: Tensor
    rows: Tensor
    identities: Tensor
    pointer: Tensor
    count: Tensor

    def __init__(self, capacity: int, width: int) -> None:
        super().__init__()
        self.register_buffer("embeddings", torch.zeros(capacity, width))
        self.register_buffer("rows", torch.full((capacity,), -1, dtype=torch.long, device="cpu"))
        self.register_buffer("identities", torch.full((capacity,), -1, dtype=torch.long))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long, device="cpu"))
        self.register_buffer("count", torch.zeros((), dtype=torch.long, device="cpu"))

    def __len__(self) -> int:
        return int(self.count)

    @torch.no_grad()
    def push(self, embeddings: Tensor, rows: Tensor | None = None, identities: Tensor | None = None) -> Tensor:
        """Write B entries, and return their positions [B].

        An entry replaces the entry of the same row if there is one, otherwise the oldest one: an example that is twice
        in a bank would be its own nearest neighbour.

        Args:
            embeddings: [B, d], unit vectors.
            rows: [B], all different; None: unknown, so every entry replaces the oldest one.
            identities: [B]; None: unknown.

        Raises:
            ValueError: B exceeds C.
        """
        batch, capacity = len(embeddings), len(self.embeddings)
        if batch > capacity:
            raise ValueError(f"a batch of {batch} does not fit a bank of C = {capacity}")
        if rows is None:
            rows = torch.full((batch,), -1, dtype=torch.long, device="cpu")
        rows = rows.cpu()
        positions = self._allocate(rows)
        self.rows[positions] = rows
        positions = positions.to(self.embeddings.device)
        self.embeddings[positions] = embeddings.to(self.embeddings)
        self.identities[positions] = -1 if identities is None else identities
        return positions

    def _allocate(self, rows: Tensor) -> Tensor:
        """Position for each of `rows` [B]; advances pointer and fill count."""
        capacity, batch = len(self.rows), len(rows)
        positions = self._positions_of(rows)
        present = positions >= 0
        queue = (self.pointer + torch.arange(batch, device="cpu")) % capacity  # B suffice: no more are skipped or used
        queue = queue[~torch.isin(queue, positions[present])][: int((~present).sum())]
        positions[~present] = queue
        if len(queue):
            self.pointer.copy_((queue[-1] + 1) % capacity)
        self.count.copy_((self.count + len(queue)).clamp(max=capacity))
        return positions

    def _positions_of(self, rows: Tensor) -> Tensor:
        """Position of each of `rows` [B] in the bank; -1 if it is not there."""
        positions = torch.full_like(rows, -1)
        if len(rows):
            ordered, original = rows.sort()
            place = torch.searchsorted(ordered, self.rows).clamp(max=len(rows) - 1)  # [C]
            held = ((ordered[place] == self.rows) & (self.rows >= 0)).nonzero().squeeze(1)
            positions[original[place[held]]] = held
        return positions

    def clear(self) -> None:
        """Remove all entries; the bank is as new."""
        for buffer, value in (self.embeddings, 0), (self.rows, -1), (self.identities, -1):
            buffer.fill_(value)
        self.pointer.zero_()
        self.count.zero_()

    def filled(self) -> Tensor:
        """Filled part of the embeddings, [count, d]. Positions are filled in order, so it is a prefix."""
        return self.embeddings[: len(self)]

    def mean(self) -> Tensor:
        """Mean [d] of the filled embeddings; zero for an empty bank."""
        return self.filled().sum(0) / max(len(self), 1)


def centred(embeddings: Tensor, mean: Tensor) -> Tensor:
    """Embeddings [N, d] minus the mean [d] of their domain and modality, as unit vectors.

    Their cosine ignores what all members of the domain have in common. With a mean of zero, unit vectors do not change.
    """
    return F.normalize(embeddings - mean, dim=-1)

"""What the student's distributions over the target banks are pulled to (eq. 6-8)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.schema import SoftTargets


class Targets(Protocol):
    """Target distributions [B, N] of B query embeddings over N keys of the other modality; zero rows teach nothing.

    `others` [M, d] is the bank of the queries' own modality and `own` [B] the queries' places in it.
    """

    def __call__(self, queries: Tensor, keys: Tensor, others: Tensor, own: Tensor, tau: float) -> Tensor: ...


class PseudoSimilarity:
    """s = softmax(z . Q / (sharpen tau)): the teacher's own similarities, soft (eq. 6-7)."""

    def __init__(self, config: SoftTargets) -> None:
        self.sharpen = config.sharpen

    def __call__(self, queries: Tensor, keys: Tensor, others: Tensor, own: Tensor, tau: float) -> Tensor:
        return F.softmax(queries @ keys.T / (self.sharpen * tau), 1)


class MutualNearest:
    """One-hot at the nearest key, where no other entry of the query's own modality is nearer to that key.

    A query's own entry does not compete. `-cmkd` of the method notes: GMP alone.
    """

    def __call__(self, queries: Tensor, keys: Tensor, others: Tensor, own: Tensor, tau: float) -> Tensor:
        similarity, best = (queries @ keys.T).max(1)
        rivals = keys[best] @ others.T
        rivals[torch.arange(len(own), device=own.device), own] = -torch.inf
        mutual = similarity >= rivals.max(1).values
        return F.one_hot(best, len(keys)).to(queries.dtype) * mutual[:, None]


class NoTarget:
    """Rows of zeros: nothing is learned from the target."""

    def __call__(self, queries: Tensor, keys: Tensor, others: Tensor, own: Tensor, tau: float) -> Tensor:
        return torch.zeros(len(queries), len(keys))


def entropy(distribution: Tensor) -> Tensor:
    """Mean entropy in nats of the rows of [B, N]; rows of zeros count as 0."""
    return -torch.xlogy(distribution, distribution).sum(1).mean()

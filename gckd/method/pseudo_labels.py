"""What is learned from the target: the protocol, and what the student's distributions are pulled to (eq. 6-8)."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.distill import SoftTargets
from gckd.graph.similarity import RetrievalDirection, Similarity
from gckd.method.losses import soft_cross_entropy


class TargetDistribution(Protocol):
    """Target distributions [B, N] of a side's B queries over its N keys; a row's sum is its weight."""

    def __call__(self, side: RetrievalDirection, tau: float) -> Tensor: ...


class StudentQueries(NamedTuple):
    """One direction of a step: the queries of `side` as the student sees them, unit vectors [B, d] with gradient."""

    student: Tensor
    side: RetrievalDirection


class TargetLoss(Protocol):
    """Loss terms of the student's embeddings of a target batch; tau is the student's.

    targets: what it pulls the student to; rows of zeros if it is a loss of another kind.
    """

    @property
    def targets(self) -> TargetDistribution: ...

    def __call__(self, image: StudentQueries, text: StudentQueries, tau: Tensor) -> dict[str, Tensor]: ...


class PseudoLabels:
    """s = p(key | query), times p(query | key) if both directions must agree, at temperature sharpen tau (eq. 6-7).

    Rows weigh exp(-confidence x entropy), 1 on average: what the teacher is sure of teaches more. Hard targets are
    one-hot at the largest similarity, and weigh all alike.
    """

    def __init__(self, config: SoftTargets, similarity: Similarity) -> None:
        self.config, self.similarity = config, similarity

    def __call__(self, side: RetrievalDirection, tau: float) -> Tensor:
        found = self.similarity(side, self.config.sharpen * tau, self.config.agree)
        if self.config.hard:
            return F.one_hot(found.argmax(1), found.shape[1]).to(found.dtype)
        # A row whose directions have nothing in common cannot be normalised and teaches nothing.
        wanted = found / found.sum(1, keepdim=True).clamp(min=torch.finfo(found.dtype).tiny)
        weight = torch.exp(-self.config.confidence * entropies(wanted))
        return wanted * (weight / weight.mean())[:, None]


class MutualNearestNeighbours:
    """One-hot at the nearest key, where the query is the nearest of its own bank to that key too.

    `-cmkd` of the method notes: GMP alone.
    """

    def __init__(self, similarity: Similarity) -> None:
        self.similarity = similarity

    def __call__(self, side: RetrievalDirection, tau: float) -> Tensor:
        best = self.similarity(side, tau, agree=False).argmax(1)
        back = RetrievalDirection(side.banks.keys.embeddings[best], best, side.banks.turned())
        mutual = self.similarity(back, tau, agree=False).argmax(1) == side.place
        return F.one_hot(best, len(side.banks.keys)).to(side.queries.dtype) * mutual[:, None]


class NoPseudoLabels:
    """Rows of zeros: there are no targets."""

    def __call__(self, side: RetrievalDirection, tau: float) -> Tensor:
        return torch.zeros(len(side.queries), len(side.banks.keys))


class NoTargetLoss:
    """Nothing is learned from the target."""

    targets: TargetDistribution = NoPseudoLabels()

    def __call__(self, image: StudentQueries, text: StudentQueries, tau: Tensor) -> dict[str, Tensor]:
        return {}


def entropies(distribution: Tensor) -> Tensor:
    """Entropy in nats of each row of [B, N] -> [B]; a row of zeros has 0."""
    return -torch.xlogy(distribution, distribution).sum(1)


class PseudoLabelLoss:
    """Cross-entropy of the student's distributions over Q_TT and Q_TI to targets, the mean of both."""

    def __init__(self, targets: TargetDistribution) -> None:
        self.targets = targets

    def __call__(self, image: StudentQueries, text: StudentQueries, tau: Tensor) -> dict[str, Tensor]:
        loss = tau.new_zeros(())
        for student, side in (image, text):
            with torch.no_grad():
                wanted = self.targets(side, float(tau))
            loss = loss + soft_cross_entropy(student @ side.banks.keys.embeddings.T / tau, wanted) / 2
        return {"target_contrastive": loss}

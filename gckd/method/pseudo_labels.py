"""Pseudo labels of the target (eq. 6-7), and the loss that pulls the student to them (eq. 8)."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.component import TargetsConfig
from gckd.config.distill import MutualNeighbours, NoTargets, SoftTargets
from gckd.config.registry import Registry
from gckd.graph.similarity import BankPair, DirectSimilarity, RetrievalDirection, Similarity
from gckd.method.losses import soft_cross_entropy


class PseudoLabeller(Protocol):
    """Pseudo labels of unlabelled queries."""

    def labels(self, direction: RetrievalDirection, tau: float) -> Tensor:
        """Pseudo labels [B, N] of B queries over N keys, >= 0.

        A row is a distribution over the keys, times the weight of its query; a row of zeros teaches nothing.
        """
        ...


class StudentQueries(NamedTuple):
    """The student's queries of one retrieval direction: unit embeddings [B, d] with a gradient."""

    embeddings: Tensor
    direction: RetrievalDirection  # the teacher's embeddings of the same queries, and the banks


class TargetLoss(Protocol):
    """Loss on the target (slot `distill.targets`)."""

    @property
    def labeller(self) -> PseudoLabeller:
        """Source of the pseudo labels that the loss pulls the student to; `NoPseudoLabels` for any other loss."""
        ...

    def __call__(self, image: StudentQueries, text: StudentQueries, tau: Tensor) -> dict[str, Tensor]:
        """Named loss terms of one target batch.

        Args:
            image, text: the image queries and the caption queries.
            tau: the student's temperature, a scalar with a gradient.
        """
        ...


TARGETS: Registry[TargetsConfig, TargetLoss, Similarity] = Registry(TargetsConfig)


class PseudoLabels:
    """Pseudo labels of the teacher (eq. 6-7).

        s_i2t = softmax(z_I . Q_TT / tau)
        s_t2i = softmax(z_T . Q_TI / tau)

    Called on tensors, it computes exactly this. The arguments are the options of this project; each default is the
    paper's equation.

    Example:
        >>> queries, keys = torch.nn.functional.normalize(torch.randn(2, 32, 256), dim=-1)
        >>> PseudoLabels()(queries, keys, tau=0.07).shape
        torch.Size([32, 32])

    Args:
        sharpen: the labels use the temperature sharpen x tau.
        agree: multiply p(key | query) by p(query | key), so that both retrieval directions must agree.
        confidence: a row weighs exp(-confidence x its entropy in nats), scaled to a mean weight of 1.
        hard: one-hot labels at the largest similarity, all with weight 1.
        similarity: pseudo similarities of queries and keys; None: the softmax above.

    Shapes:
        queries z [B, d] and keys Q [N, d], unit vectors -> labels s [B, N].

    Differences from the paper: none with the defaults. `sharpen`, `agree`, `confidence` and `hard` are ours.
    """

    def __init__(
        self,
        *,
        sharpen: float = 1.0,
        agree: bool = False,
        confidence: float = 0.0,
        hard: bool = False,
        similarity: Similarity | None = None,
    ) -> None:
        self.sharpen, self.agree, self.confidence, self.hard = sharpen, agree, confidence, hard
        self.similarity = similarity or DirectSimilarity()

    def __call__(self, queries: Tensor, keys: Tensor, tau: float = 0.07) -> Tensor:
        """Pseudo labels [B, N] of the queries [B, d] over the keys [N, d].

        Args:
            queries: z, usually the propagated embeddings of a batch. keys: Q, the bank of the other modality.
        """
        positions = torch.arange(len(queries), device=queries.device)
        return self.labels(RetrievalDirection(queries, positions, BankPair(queries, keys)), tau)

    def labels(self, direction: RetrievalDirection, tau: float) -> Tensor:
        """Pseudo labels [B, N] of one retrieval direction of a step."""
        similarity = self.similarity(direction, self.sharpen * tau, self.agree)
        if self.hard:
            return F.one_hot(similarity.argmax(1), similarity.shape[1]).to(similarity.dtype)
        # If the two directions share no key, the row is zero: it cannot be normalised and teaches nothing.
        labels = similarity / similarity.sum(1, keepdim=True).clamp(min=torch.finfo(similarity.dtype).tiny)
        weight = torch.exp(-self.confidence * entropies(labels))
        return labels * (weight / weight.mean())[:, None]


class MutualNearestNeighbours:
    """One-hot labels at each query's nearest key, if the query is in turn the nearest of its bank to that key.

    Rows of all other queries are zero. This labeller needs no teacher: it is what remains of the method without CMKD.

    Shapes:
        queries [B, d], keys [N, d] -> labels [B, N].

    Differences from the paper: ours; the paper does not say what its ablation without CMKD learns from.
    """

    def __init__(self, similarity: Similarity) -> None:
        self.similarity = similarity

    def labels(self, direction: RetrievalDirection, tau: float) -> Tensor:
        nearest_key = self.similarity(direction, tau, agree=False).argmax(1)
        key_embeddings = direction.banks.key_bank.embeddings[nearest_key]
        reverse = RetrievalDirection(key_embeddings, nearest_key, direction.banks.reversed())
        mutual = self.similarity(reverse, tau, agree=False).argmax(1) == direction.positions
        return F.one_hot(nearest_key, len(direction.banks.key_bank)).to(direction.queries.dtype) * mutual[:, None]


class NoPseudoLabels:
    """Labels of zeros [B, N]: no query has a pseudo label."""

    def labels(self, direction: RetrievalDirection, tau: float) -> Tensor:
        return torch.zeros(len(direction.queries), len(direction.banks.key_bank))


class PseudoLabelLoss:
    """Cross-entropy of the student's retrieval distributions to pseudo labels (eq. 8, target side).

        L = (H(s_i2t, softmax(x_I . Q_TT / tau)) + H(s_t2i, softmax(x_T . Q_TI / tau))) / 2

    x_I and x_T are the student's embeddings, and H(s, p) = -sum s log p. The labels s are constants.

    Args:
        labeller: computes s.

    Shapes:
        student embeddings [B, d], banks [N, d] -> {"target_contrastive": scalar}.
    """

    def __init__(self, labeller: PseudoLabeller) -> None:
        self.labeller = labeller

    def __call__(self, image: StudentQueries, text: StudentQueries, tau: Tensor) -> dict[str, Tensor]:
        loss, value = tau.new_zeros(()), float(tau.detach())
        for queries, direction in (image, text):
            with torch.no_grad():
                labels = self.labeller.labels(direction, value)
            loss = loss + soft_cross_entropy(queries @ direction.banks.key_bank.embeddings.T / tau, labels) / 2
        return {"target_contrastive": loss}


@TARGETS.register(SoftTargets)
def _soft_targets(node: SoftTargets, similarity: Similarity) -> PseudoLabelLoss:
    labeller = PseudoLabels(
        sharpen=node.sharpen, agree=node.agree, confidence=node.confidence, hard=node.hard, similarity=similarity
    )
    return PseudoLabelLoss(labeller)


@TARGETS.register(MutualNeighbours)
def _mutual_neighbours(node: MutualNeighbours, similarity: Similarity) -> PseudoLabelLoss:
    return PseudoLabelLoss(MutualNearestNeighbours(similarity))


@TARGETS.register(NoTargets)
class NoTargetLoss:
    """No loss on the target."""

    labeller: PseudoLabeller = NoPseudoLabels()

    def __init__(self, node: NoTargets, similarity: Similarity) -> None:
        pass

    def __call__(self, image: StudentQueries, text: StudentQueries, tau: Tensor) -> dict[str, Tensor]:
        return {}


def entropies(distributions: Tensor) -> Tensor:
    """Entropy in nats of each row of [B, N] -> [B]; a row of zeros has 0."""
    return -torch.xlogy(distributions, distributions).sum(1)

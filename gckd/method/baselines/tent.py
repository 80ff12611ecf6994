"""Entropy minimisation, as test-time adaptation does it."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from gckd.graph.similarity import DirectSimilarity
from gckd.method.pseudo_labels import MutualNearestNeighbours, NoPseudoLabels, StudentQueries, TargetDistribution


class EntropyLoss:
    """Mean entropy of the student's softmax(z_T . Q_TI / tau), of the captions whose nearest image is nearest to them.

    Source: Wang et al., "Tent", ICLR 2021, which minimises the entropy of a classifier's predictions in its
    normalisation layers (`adapt.parameters`); captions as queries and a choice of those that can be trusted after Li
    et al., "Test-time adaptation for cross-modal retrieval with query shift", ICLR 2025. Ours: the choice is of mutual
    nearest neighbours between the target banks; the distribution is over the whole image bank; the target's train
    split stands for the test queries, which are read once and at the end; the source terms stay; and tau is a
    constant, since lowering it is the shortest way to a low entropy.
    """

    targets: TargetDistribution = NoPseudoLabels()

    def __init__(self) -> None:
        self.mutual = MutualNearestNeighbours(DirectSimilarity())

    def __call__(self, image: StudentQueries, text: StudentQueries, tau: Tensor) -> dict[str, Tensor]:
        tau = tau.detach()
        chosen = self.mutual(text.side, float(tau)).sum(1)
        log_p = F.log_softmax(text.student @ text.side.banks.keys.embeddings.T / tau, 1)
        entropy = -(log_p.exp() * log_p).sum(1)
        return {"target_contrastive": (chosen * entropy).sum() / chosen.sum().clamp(min=1)}

"""Tent: entropy minimisation, for retrieval."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from gckd.config.distill import EntropyMinimisation
from gckd.graph.similarity import DirectSimilarity, Similarity
from gckd.method.pseudo_labels import TARGETS, MutualNearestNeighbours, NoPseudoLabels, PseudoLabeller, StudentQueries


@TARGETS.register(EntropyMinimisation)
class EntropyLoss:
    """Mean entropy of the student's retrieval distributions, over the captions with a mutual nearest image.

        L = mean_i H(softmax(x_i . Q_TI / tau))

    x_i is a caption of the batch. It counts if it and its nearest image are each other's nearest bank entries.

    Args:
        node: no options.
        similarity: not used, the loss has no pseudo labels.

    Shapes:
        captions [B, d], image bank [N, d] -> {"target_contrastive": scalar}; 0 if no caption counts.

    Source: Wang et al., "Tent: Fully test-time adaptation by entropy minimization", ICLR 2021. Captions as queries and
    a selection of reliable ones as in Li et al., "Test-time adaptation for cross-modal retrieval with query shift",
    ICLR 2025.

    Differences from the papers: captions are selected by mutual nearest neighbours between the target banks. The
    distribution is over the whole image bank. The target's train split replaces the test queries, which are read once,
    at the end. The source terms remain. tau is a constant, since a lower tau lowers entropy without any learning.
    Tent's restriction to the normalisation layers is `adapt.parameters`.
    """

    labeller: PseudoLabeller = NoPseudoLabels()

    def __init__(self, node: EntropyMinimisation, similarity: Similarity) -> None:
        self.mutual = MutualNearestNeighbours(DirectSimilarity())

    def __call__(self, image: StudentQueries, text: StudentQueries, tau: Tensor) -> dict[str, Tensor]:
        tau = tau.detach()
        selected = self.mutual.labels(text.direction, float(tau)).sum(1)
        log_p = F.log_softmax(text.embeddings @ text.direction.banks.key_bank.embeddings.T / tau, 1)
        entropy = -(log_p.exp() * log_p).sum(1)
        return {"target_contrastive": (selected * entropy).sum() / selected.sum().clamp(min=1)}

"""POUF: transport between target images and captions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.distill import TransportCost
from gckd.method.pseudo_labels import NoPseudoLabels, StudentQueries, TargetDistribution


class TransportLoss:
    """Cost of carrying each image to the captions and each caption to the images, and mutual information.

    With cosines c_ij of B images and N captions: mean_i sum_j p(j | i) (1 - c_ij) + mean_j sum_i p(i | j) (1 - c_ij)
    - w I, where p is softmax(c / tau) over captions or images, and I = H(mean_i p(. | i)) - mean_i H(p(. | i)).

    Source: Tanwisuth et al., "POUF: Prompt-oriented unsupervised fine-tuning", ICML 2023 (w = 0.3). Ours, for
    retrieval has no class names: the prototypes are the captions of the bank, those of the batch as the student sees
    them now, so that the text encoder learns too. It stands beside the source terms, where POUF has no source; and tau
    is a constant, since lowering it lowers entropy and cost without learning anything.
    """

    targets: TargetDistribution = NoPseudoLabels()

    def __init__(self, config: TransportCost) -> None:
        self.config = config

    def __call__(self, image: StudentQueries, text: StudentQueries, tau: Tensor) -> dict[str, Tensor]:
        captions = text.side.banks.own.embeddings.index_copy(0, text.side.place, text.student)
        cosine = image.student @ captions.T
        logits, cost = cosine / tau.detach(), 1 - cosine
        forth = (cost * F.softmax(logits, 1)).sum(1).mean()
        back = (cost * F.softmax(logits, 0)).sum(0).mean()
        return {"target_contrastive": forth + back - self.config.information * mutual_information(logits)}


def mutual_information(logits: Tensor) -> Tensor:
    """Between row and column of softmax(logits) over [B, N], rows equally likely; nats."""
    log_p = F.log_softmax(logits, 1)
    log_mean = torch.logsumexp(log_p, 0) - torch.tensor(float(len(logits))).log()
    return (log_p.exp() * (log_p - log_mean)).sum(1).mean()

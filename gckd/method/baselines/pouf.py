"""POUF: transport cost between target images and captions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.distill import TransportCost
from gckd.graph.similarity import Similarity
from gckd.method.pseudo_labels import TARGETS, NoPseudoLabels, PseudoLabeller, StudentQueries


@TARGETS.register(TransportCost)
class TransportLoss:
    """Transport cost between images and captions, minus their mutual information.

        L = mean_i sum_j p(j | i) (1 - c_ij) + mean_j sum_i p(i | j) (1 - c_ij) - w I
        I = H(mean_i p(. | i)) - mean_i H(p(. | i))

    c_ij is the cosine of image i and caption j, and p is softmax(c / tau) over the captions or over the images.

    Args:
        node: w, the weight of the mutual information.
        similarity: not used, the loss has no pseudo labels.

    Shapes:
        B images, and the N captions of the bank -> {"target_contrastive": scalar}.

    Source: Tanwisuth et al., "POUF: Prompt-oriented unsupervised fine-tuning", ICML 2023, with w = 0.3.

    Differences from the paper: retrieval has no class names, so the captions of the bank are the prototypes. Those of
    the batch are the student's embeddings, so that the text encoder learns too. The source terms remain; POUF has no
    source. tau is a constant, since a lower tau lowers cost and entropy without any learning.
    """

    labeller: PseudoLabeller = NoPseudoLabels()

    def __init__(self, node: TransportCost, similarity: Similarity) -> None:
        self.information = node.information

    def __call__(self, image: StudentQueries, text: StudentQueries, tau: Tensor) -> dict[str, Tensor]:
        bank, positions = text.direction.banks.query_bank.embeddings, text.direction.positions
        cosine = image.embeddings @ bank.index_copy(0, positions, text.embeddings).T
        logits, cost = cosine / tau.detach(), 1 - cosine
        to_captions = (cost * F.softmax(logits, 1)).sum(1).mean()
        to_images = (cost * F.softmax(logits, 0)).sum(0).mean()
        return {"target_contrastive": to_captions + to_images - self.information * mutual_information(logits)}


def mutual_information(logits: Tensor) -> Tensor:
    """Mutual information in nats of row and column under softmax(logits) of [B, N], all rows equally likely."""
    log_p = F.log_softmax(logits, 1)
    log_mean = torch.logsumexp(log_p, 0) - torch.tensor(float(len(logits))).log()
    return (log_p.exp() * (log_p - log_mean)).sum(1).mean()

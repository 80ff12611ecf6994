"""Metric learning on the labelled source, by pytorch-metric-learning, which is imported where it is asked for."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from gckd.config.losses import MultiSimilarity, Triplet
from gckd.method.alignment import StudentEmbeddings


class MetricLoss(Protocol):
    """Loss terms of a source batch and its identities [B]."""

    def __call__(self, source: StudentEmbeddings, identities: Tensor) -> dict[str, Tensor]: ...


class CrossModalMetricLoss:
    """A loss of pairs or triplets, from images to images and to captions, from captions to both: the mean of the four.

    Within a modality an example is no positive of itself; across, an image and its own caption are a positive pair.
    """

    def __init__(self, loss: nn.Module) -> None:
        self.loss = loss

    def __call__(self, source: StudentEmbeddings, identities: Tensor) -> dict[str, Tensor]:
        losses = []
        for anchors in source:
            for others in source:
                same = {} if others is anchors else {"ref_emb": others, "ref_labels": identities.clone()}
                losses.append(self.loss(anchors, identities, **same))
        return {"source_metric": torch.stack(losses).mean()}


def triplet(config: Triplet) -> CrossModalMetricLoss:
    """max(0, d(a, p) - d(a, n) + margin) over all triplets of a batch, the mean of those above 0; d is Euclidean.

    Source: Schroff et al., "FaceNet", CVPR 2015, without its choice of triplets; `TripletMarginLoss`. Ours: across
    modalities too.
    """
    from pytorch_metric_learning.losses import TripletMarginLoss

    return CrossModalMetricLoss(TripletMarginLoss(margin=config.margin))


def multi_similarity(config: MultiSimilarity) -> CrossModalMetricLoss:
    """log(1 + sum_p exp(-alpha (c_p - base))) / alpha + log(1 + sum_n exp(beta (c_n - base))) / beta, mean of anchors.

    c_p and c_n are the cosines to an anchor's positives and negatives. Source: Wang et al., "Multi-similarity loss with
    general pair weighting", CVPR 2019, without its mining; `MultiSimilarityLoss`. Ours: across modalities too.
    """
    from pytorch_metric_learning.losses import MultiSimilarityLoss

    return CrossModalMetricLoss(MultiSimilarityLoss(alpha=config.alpha, beta=config.beta, base=config.base))


class NoMetricLoss:
    """No further loss."""

    def __call__(self, source: StudentEmbeddings, identities: Tensor) -> dict[str, Tensor]:
        return {}

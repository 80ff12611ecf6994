"""Metric losses on the labelled source, computed by pytorch-metric-learning."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from gckd.config.component import MetricLossConfig
from gckd.config.losses import MultiSimilarity, NoMetric, Triplet
from gckd.config.registry import Registry
from gckd.method.alignment import StudentEmbeddings


class MetricLoss(Protocol):
    """Metric loss on a source batch (slot `metric`)."""

    def __call__(self, source: StudentEmbeddings, identities: Tensor) -> dict[str, Tensor]:
        """Named loss terms of a source batch with identities [B]."""
        ...


METRIC_LOSSES: Registry[MetricLossConfig, MetricLoss] = Registry(MetricLossConfig)


class CrossModalMetricLoss:
    """A pair or triplet loss within and across the modalities: mean over the four (anchors, references) combinations.

    Anchors and references are images or captions. Within a modality, an example is no positive of itself; across
    modalities, an image and its own caption are a positive pair.

    Args:
        loss: a loss of pytorch-metric-learning.

    Shapes:
        source [B, d] per modality, identities [B] -> {"source_metric": scalar}.
    """

    def __init__(self, loss: nn.Module) -> None:
        self.loss = loss

    def __call__(self, source: StudentEmbeddings, identities: Tensor) -> dict[str, Tensor]:
        losses = []
        for anchors in source:
            for references in source:
                across = {} if references is anchors else {"ref_emb": references, "ref_labels": identities.clone()}
                losses.append(self.loss(anchors, identities, **across))
        return {"source_metric": torch.stack(losses).mean()}


@METRIC_LOSSES.register(Triplet)
def triplet(node: Triplet) -> CrossModalMetricLoss:
    """Triplet loss: mean over all triplets of a batch with a positive loss.

        L(a, p, n) = max(0, |a - p| - |a - n| + margin)

    Source: Schroff et al., "FaceNet", CVPR 2015; `TripletMarginLoss`.

    Differences from the paper: all triplets instead of semi-hard ones, and triplets across modalities.
    """
    from pytorch_metric_learning.losses import TripletMarginLoss

    return CrossModalMetricLoss(TripletMarginLoss(margin=node.margin))


@METRIC_LOSSES.register(MultiSimilarity)
def multi_similarity(node: MultiSimilarity) -> CrossModalMetricLoss:
    """Multi-similarity loss: mean over the anchors of a batch.

        L = log(1 + sum_p exp(-alpha (c_p - base))) / alpha + log(1 + sum_n exp(beta (c_n - base))) / beta

    c_p and c_n are the cosines of an anchor to its positives and negatives.

    Source: Wang et al., "Multi-similarity loss with general pair weighting", CVPR 2019; `MultiSimilarityLoss`.

    Differences from the paper: no mining of pairs, and pairs across modalities.
    """
    from pytorch_metric_learning.losses import MultiSimilarityLoss

    return CrossModalMetricLoss(MultiSimilarityLoss(alpha=node.alpha, beta=node.beta, base=node.base))


@METRIC_LOSSES.register(NoMetric)
class NoMetricLoss:
    """No metric loss."""

    def __init__(self, node: NoMetric) -> None:
        pass

    def __call__(self, source: StudentEmbeddings, identities: Tensor) -> dict[str, Tensor]:
        return {}

"""Metric loss: circle loss of pytorch-metric-learning."""

from dataclasses import dataclass
from typing import ClassVar

from pytorch_metric_learning.losses import CircleLoss

from gckd.extend import METRIC_LOSSES, CrossModalMetricLoss, MetricLossConfig, option


@dataclass(frozen=True)
class Circle(MetricLossConfig):
    """Circle loss (Sun et al., CVPR 2020)."""

    kind: ClassVar[str] = "circle"
    margin: float = option(0.4, "relaxation of the decision boundary", ge=0, le=1)
    scale: float = option(80.0, "factor of the similarities", gt=0, le=512)


@METRIC_LOSSES.register(Circle)
def circle(node: Circle) -> CrossModalMetricLoss:
    return CrossModalMetricLoss(CircleLoss(m=node.margin, gamma=node.scale))

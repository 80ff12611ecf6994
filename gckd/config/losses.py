"""Alignment of source and target embeddings: losses that make the two domains look alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gckd.config.component import AlignmentConfig, MetricLossConfig
from gckd.config.fields import option


@dataclass(frozen=True)
class Mmd(AlignmentConfig):
    """Maximum mean discrepancy between source and target, per modality."""

    kind: ClassVar[str] = "mmd"
    kernels: int = option(
        5, "Gaussian kernels, each twice as wide as the last; the middle one is as the median", ge=1, le=32
    )


@dataclass(frozen=True)
class Adversarial(AlignmentConfig):
    """A domain discriminator behind gradient reversal, per modality."""

    kind: ClassVar[str] = "adversarial"
    modality: str = option("both", "whose embeddings are to hide their domain", choices=("both", "image", "text"))
    hidden: int = option(256, "width of the discriminator's two hidden layers", unit="units", ge=1, le=8192)
    gamma: float = option(
        10.0, "the reversed gradient weighs 2 / (1 + exp(-gamma x progress)) - 1, progress from 0 to 1", gt=0, le=1000
    )


@dataclass(frozen=True)
class NoAlignment(AlignmentConfig):
    """The domains are not aligned."""

    kind: ClassVar[str] = "none"
    off: ClassVar[bool] = True


@dataclass(frozen=True)
class Triplet(MetricLossConfig):
    """Triplet loss over all triplets of a batch."""

    kind: ClassVar[str] = "triplet"
    margin: float = option(
        0.2, "by which a negative has to be farther than a positive; distances in [0, 2]", ge=0, le=2
    )


@dataclass(frozen=True)
class MultiSimilarity(MetricLossConfig):
    """Multi-similarity loss over all pairs of a batch."""

    kind: ClassVar[str] = "multi-similarity"
    alpha: float = option(2.0, "how much the least similar positives count above the others", gt=0, le=1000)
    beta: float = option(50.0, "how much the most similar negatives count above the others", gt=0, le=1000)
    base: float = option(0.5, "cosine that positives should exceed and negatives should not", ge=-1, le=1)


@dataclass(frozen=True)
class NoMetric(MetricLossConfig):
    """No further loss."""

    kind: ClassVar[str] = "none"
    off: ClassVar[bool] = True

"""Metric learning on the labelled source, beside the contrastive loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gckd.config.fields import knob


@dataclass(frozen=True)
class Triplet:
    """Triplet loss over all triplets of a batch."""

    kind: ClassVar[str] = "triplet"
    margin: float = knob(0.2, "by which a negative has to be farther than a positive; distances in [0, 2]", ge=0, le=2)


@dataclass(frozen=True)
class MultiSimilarity:
    """Multi-similarity loss over all pairs of a batch."""

    kind: ClassVar[str] = "multi-similarity"
    alpha: float = knob(2.0, "how much the least similar positives count above the others", gt=0, le=1000)
    beta: float = knob(50.0, "how much the most similar negatives count above the others", gt=0, le=1000)
    base: float = knob(0.5, "cosine that positives should exceed and negatives should not", ge=-1, le=1)


@dataclass(frozen=True)
class NoMetric:
    """No further loss."""

    kind: ClassVar[str] = "none"

"""Losses beside those of the method: alignment of the domains, metric losses, self-supervision on the target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from gckd.config.component import AlignmentConfig, MetricLossConfig, SelfSupervisionConfig
from gckd.config.fields import option


@dataclass(frozen=True)
class Mmd(AlignmentConfig):
    """Maximum mean discrepancy between source and target, for each modality."""

    kind: ClassVar[str] = "mmd"
    kernels: int = option(
        5,
        "Gaussian kernels, each twice as wide as the one before; the middle one has the median distance as its width",
        ge=1,
        le=32,
    )


@dataclass(frozen=True)
class Adversarial(AlignmentConfig):
    """Domain discriminator behind a gradient reversal, for each modality."""

    kind: ClassVar[str] = "adversarial"
    modality: str = option(
        "both", "modality whose embeddings the discriminator sees", choices=("both", "image", "text")
    )
    hidden: int = option(256, "width of the two hidden layers of the discriminator", unit="units", ge=1, le=8192)
    gamma: float = option(
        10.0,
        "slope of the ramp of the reversed gradient: 2 / (1 + exp(-gamma x progress)) - 1, progress in [0, 1]",
        gt=0,
        le=1000,
    )


@dataclass(frozen=True)
class NoAlignment(AlignmentConfig):
    """No alignment."""

    kind: ClassVar[str] = "none"
    off: ClassVar[bool] = True


@dataclass(frozen=True)
class Triplet(MetricLossConfig):
    """Triplet loss over all triplets of a batch."""

    kind: ClassVar[str] = "triplet"
    margin: float = option(
        0.2, "distance by which a negative has to be farther away than a positive; distances are in [0, 2]", ge=0, le=2
    )


@dataclass(frozen=True)
class MultiSimilarity(MetricLossConfig):
    """Multi-similarity loss over all pairs of a batch."""

    kind: ClassVar[str] = "multi-similarity"
    alpha: float = option(2.0, "emphasis on the least similar positives", gt=0, le=1000)
    beta: float = option(50.0, "emphasis on the most similar negatives", gt=0, le=1000)
    base: float = option(0.5, "cosine that positives are pushed above and negatives below", ge=-1, le=1)


@dataclass(frozen=True)
class NoMetric(MetricLossConfig):
    """No metric loss."""

    kind: ClassVar[str] = "none"
    off: ClassVar[bool] = True


@dataclass(frozen=True)
class Captions(SelfSupervisionConfig):
    """Masked language modelling on target captions, without images."""

    kind: ClassVar[str] = "captions"
    rate: float = option(0.15, "share of the words that are masked", gt=0, lt=1)

    def problems(self, config: Any) -> Iterator[str]:
        yield from super().problems(config)
        if not config.backbone.has_mlm_head:
            yield f"selfsup: {self.kind!r} needs an MLM head, but backbone {config.backbone.kind} has none"


@dataclass(frozen=True)
class Views(SelfSupervisionConfig):
    """Contrast of the student's strong view with the teacher's clean views, within each modality of the target."""

    kind: ClassVar[str] = "views"
    neighbours: int = option(
        5, "mutual nearest neighbours of an example among this many are positives too; 0: none", ge=0, le=1000
    )

    def problems(self, config: Any) -> Iterator[str]:
        yield from super().problems(config)
        if self.neighbours >= config.adapt.batch:
            limit = f"< adapt.batch = {config.adapt.batch}"
            yield f"selfsup.neighbours: {self.neighbours} is outside its limit: {limit}"


@dataclass(frozen=True)
class CaptionsAndViews(Captions, Views):
    """The losses of `captions` and of `views`."""

    kind: ClassVar[str] = "both"


@dataclass(frozen=True)
class NoSelfSupervision(SelfSupervisionConfig):
    """No self-supervised loss."""

    kind: ClassVar[str] = "none"
    off: ClassVar[bool] = True

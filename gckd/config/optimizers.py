"""Optimisers of pre-training and adaptation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gckd.config.component import OptimizerConfig
from gckd.config.fields import option


@dataclass(frozen=True)
class AdamW(OptimizerConfig):
    """AdamW (Loshchilov and Hutter, ICLR 2019), the optimiser of ALBEF and of the paper."""

    kind: ClassVar[str] = "adamw"


@dataclass(frozen=True)
class Muon(OptimizerConfig):
    """Muon for weight matrices, AdamW for embeddings, the vocabulary head and all that is not a matrix."""

    kind: ClassVar[str] = "muon"
    lr_ratio: float = option(
        4 / 3,
        "learning rate of the weight matrices, as a multiple of the stage's `lr`, which is AdamW's",
        gt=0,
        le=1000,
    )
    momentum: float = option(0.95, "momentum of the weight matrices", ge=0, lt=1)

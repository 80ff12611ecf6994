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
    matrix_lr: float = option(
        0.004, "peak learning rate of the weight matrices; the stage's `lr` is that of AdamW", gt=0, le=1
    )
    momentum: float = option(0.95, "momentum of the weight matrices", ge=0, lt=1)

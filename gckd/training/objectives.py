"""Slot of the pre-training objective: its protocol, its registry, and the view of a batch that every objective uses."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from torch import Tensor, nn

from gckd.config.component import ObjectiveConfig
from gckd.config.registry import Registry
from gckd.config.schema import Config
from gckd.data.batches import Feed, Views
from gckd.data.types import SourceBatch
from gckd.models.base import Backbone


class Objective(Protocol):
    """Loss of source pre-training."""

    def terms(self, step: int) -> dict[str, Tensor]:
        """Named loss terms of batch `step` (from 0), each a scalar; `config.weights` has a weight for each name."""
        ...

    def modules(self) -> dict[str, nn.Module]:
        """Modules that a checkpoint holds beside the model; their parameters are trained if they require gradients."""
        ...


# Arguments: config, feed of training batches, model, and the model that a momentum model starts from.
OBJECTIVES: Registry[ObjectiveConfig, Objective, Config, Feed, Backbone, Backbone] = Registry(ObjectiveConfig)


def strong_views(config: Config, feed: Feed, batch: SourceBatch, step: int) -> Views:
    """Augmented source batch. The augmentation reaches full strength after `pretrain.ramp` of the steps."""
    plan = config.pretrain
    strength = min(1.0, step / max(1.0, plan.ramp * plan.steps * plan.accumulate))
    ramped = dataclasses.replace(feed, augment=config.augment.scaled(strength))
    return ramped.views(batch.images, batch.tokens, "pretrain", step)

"""Pre-training objective: each caption finds its image among the images of the batch (InfoNCE), and the reverse."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gckd.extend import OBJECTIVES, Backbone, Config, Feed, ObjectiveConfig, strong_views


@dataclass(frozen=True)
class InfoNce(ObjectiveConfig):
    """Contrast of the pairs of a batch."""

    kind: ClassVar[str] = "info-nce"


@OBJECTIVES.register(InfoNce)
class InfoNceObjective:
    def __init__(self, node: InfoNce, config: Config, feed: Feed, model: Backbone, momentum_start: Backbone) -> None:
        self.config, self.feed, self.model = config, feed, model

    def modules(self) -> dict[str, nn.Module]:
        return {}

    def terms(self, step: int) -> dict[str, Tensor]:
        batch = self.feed.source.batch(step)
        view = strong_views(self.config, self.feed, batch, step)
        images, texts = self.model.encode_image(view.images).embedding, self.model.encode_text(view.tokens).embedding
        logits, pairs = images @ texts.T / self.model.tau, torch.arange(len(images))
        return {"source_contrastive": (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2}

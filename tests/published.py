"""Weights of a model in the layout that the public ALBEF code saves."""

from __future__ import annotations

import torch

from gckd.models.albef import AlbefBackbone
from gckd.models.weights import Weights


def published(model: AlbefBackbone, bert: bool = True) -> Weights:
    """Weights under their published names, with the momentum copies, queues and duplicates that ALBEF saves.

    Args:
        bert: names as after pre-training (`text_encoder.bert.`); false: as after fine-tuning.
    """
    weights: Weights = {}
    for name, value in model.state_dict().items():
        published_name = name.replace("text_encoder.predictions", "text_encoder.cls.predictions")
        for part in ("embeddings.", "layer."):
            inner = ("bert." if bert else "") + ("encoder." if part == "layer." else "") + part
            published_name = published_name.replace(f"text_encoder.{part}", f"text_encoder.{inner}", 1)
        weights[published_name] = value.clone()
    weights["temp"] = weights.pop("log_tau").exp()
    with_momentum = {"visual_encoder", "text_encoder", "vision_proj", "text_proj"}
    for name in list(weights):
        first, _, rest = name.partition(".")
        if first in with_momentum:
            weights[f"{first}_m.{rest}"] = weights[name] + 1.0
    weights |= {"image_queue": torch.zeros(8, 4), "text_queue": torch.zeros(8, 4), "queue_ptr": torch.zeros(1)}
    weights["text_encoder.bert.embeddings.position_ids"] = torch.arange(12)[None]
    return weights

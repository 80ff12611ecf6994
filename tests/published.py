"""A model's weights as the public ALBEF code would have saved them."""

from __future__ import annotations

import torch

from gckd.models.albef import AlbefBackbone
from gckd.models.weights import Weights


def published(of: AlbefBackbone, bert: bool = True) -> Weights:
    """The weights under the names of the public code, with the copies, queues and duplicates it saves."""
    found: Weights = {}
    for name, value in of.state_dict().items():
        published_name = name.replace("text_encoder.predictions", "text_encoder.cls.predictions")
        for part in ("embeddings.", "layer."):
            inner = ("bert." if bert else "") + ("encoder." if part == "layer." else "") + part
            published_name = published_name.replace(f"text_encoder.{part}", f"text_encoder.{inner}", 1)
        found[published_name] = value.clone()
    found["temp"] = found.pop("log_tau").exp()
    copies = {"visual_encoder", "text_encoder", "vision_proj", "text_proj"}
    for name in list(found):
        first, _, rest = name.partition(".")
        if first in copies:
            found[f"{first}_m.{rest}"] = found[name] + 1.0
    found |= {"image_queue": torch.zeros(8, 4), "text_queue": torch.zeros(8, 4), "queue_ptr": torch.zeros(1)}
    found["text_encoder.bert.embeddings.position_ids"] = torch.arange(12)[None]
    return found

"""Sizes of the ALBEF that a checkpoint was saved from."""

from __future__ import annotations

import math
import re

from torch import Tensor

from gckd.config import Config, preset
from gckd.config.backbone import Albef, Text, Vision
from gckd.config.data import Data
from gckd.errors import InputError
from gckd.models.checkpoint_file import Weights
from gckd.models.vision import Grid
from gckd.models.weights import our_name

_HEAD_WIDTH = 64  # of every published ALBEF; a checkpoint does not hold the number of heads


def fitting_config(weights: Weights) -> Config:
    """The preset `base` with the sizes of a checkpoint.

    Args:
        weights: of an ALBEF, by their published names.

    Raises:
        InputError: weights that tell a size are missing or have other shapes than those of ALBEF.
        ConfigError: a size is outside the limits of its field.
    """
    state = {our_name(key): value for key, value in weights.items()}
    try:
        return _fitting_config(state)
    except (LookupError, ValueError, ZeroDivisionError) as error:
        raise InputError(
            f"backbone.weights: the sizes of ALBEF cannot be told from the checkpoint ({error}); name them by --config"
        ) from error


def _fitting_config(state: dict[str, Tensor]) -> Config:
    _, positions, image_width = state["visual_encoder.pos_embed"].shape
    patch = state["visual_encoder.patch_embed.proj.weight"].shape[-1]
    max_tokens, text_width = state["text_encoder.embeddings.position_embeddings.weight"].shape
    embed_dim = state["vision_proj.weight"].shape[0]
    rows, columns = _grid(positions - 1)
    fused = _layers(state, r"text_encoder\.layer\.(\d+)\.crossattention\.")
    vision = Vision(
        patch=patch,
        width=image_width,
        depth=len(_layers(state, r"visual_encoder\.blocks\.(\d+)\.")),
        heads=_heads(image_width),
        mlp_ratio=state["visual_encoder.blocks.0.mlp.fc1.weight"].shape[0] / image_width,
    )
    text = Text(
        width=text_width,
        depth=len(_layers(state, r"text_encoder\.layer\.(\d+)\.") - fused),
        fusion_depth=len(fused),
        heads=_heads(text_width),
        mlp_ratio=state["text_encoder.layer.0.intermediate.dense.weight"].shape[0] / text_width,
    )
    base = preset("base")
    data = Data(height=rows * patch, width=columns * patch, max_tokens=min(max_tokens, base.data.max_tokens))
    return Config(data=data, backbone=Albef(vision=vision, text=text, embed_dim=embed_dim))


def _layers(state: dict[str, Tensor], pattern: str) -> set[int]:
    matches = (re.match(pattern, name) for name in state)
    return {int(match[1]) for match in matches if match}


def _heads(width: int) -> int:
    return width // _HEAD_WIDTH or 1


def _grid(patches: int) -> Grid:
    """The grid nearest to a square, with at least as many rows as columns."""
    if patches < 1:
        raise ValueError(f"{patches + 1} positions of the image are too few: one is the class token")
    columns = next(count for count in range(math.isqrt(patches), 0, -1) if patches % count == 0)
    return patches // columns, columns

"""Backbones that transformers provides: loading them whole, and computing them as the config says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from gckd.config.backbone import Compute, Tower
from gckd.data.types import Vocabulary
from gckd.errors import InputError, reason_of
from gckd.models.compute import compile_layers


def from_folder_or_hub(model: Any, name: str) -> Any:
    """`model.from_pretrained` of a local folder or hub name: float32, every weight found, on the default device.

    Raises:
        InputError: it is neither a folder with such a model nor a name that the hub knows, or lacks weights.
    """
    try:
        with torch.device("cpu"):  # under another default device transformers needs accelerate
            found, report = model.from_pretrained(name, dtype=torch.float32, output_loading_info=True)
    except Exception as error:  # offline, unknown, private, another kind of model: all mean it is not there
        raise InputError(
            f"backbone.weights: {name!r} is no folder with a {model.__name__}, nor did the hub give one "
            f"({reason_of(error)}); put its config.json and model.safetensors into a folder and name that folder"
        ) from error
    lacking = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
    if lacking:
        raise InputError(f"backbone.weights: {name!r} is no whole {model.__name__}; it lacks {', '.join(lacking)}")
    return found.to(torch.get_default_device())


def require_fit(text: Any, patch: int, vocabulary: Vocabulary, size: tuple[int, int], max_tokens: int) -> None:
    """Captions and images of the config must be such as the checkpoint can read.

    Args:
        text: config of its text encoder. size: height and width of the images, in pixels.

    Raises:
        InputError: the vocabulary or the captions are too large, or the images no whole patches.
    """
    if vocabulary.size > text.vocab_size:
        limit = f"<= {text.vocab_size} of the checkpoint"
        raise InputError(f"tokenizer: a vocabulary of {vocabulary.size} is outside its limit: {limit}; give its own")
    if max_tokens > text.max_position_embeddings:
        limit = f"<= {text.max_position_embeddings} of the checkpoint"
        raise InputError(f"data.max_tokens: {max_tokens} is outside its limit: {limit}")
    for axis, pixels in zip(("height", "width"), size, strict=True):
        if pixels % patch:
            raise InputError(f"data.{axis}: {pixels} is not a multiple of the checkpoint's patch = {patch}")


def tower_sizes(tower: Tower) -> dict[str, Any]:
    """A tower of random weights in the words of transformers."""
    return {
        "hidden_size": tower.width,
        "num_hidden_layers": tower.depth,
        "num_attention_heads": tower.heads,
        "intermediate_size": round(tower.width * tower.mlp_ratio),
    }


def speed_up(model: Any, config: Compute, encoders: Iterable[nn.Module]) -> None:
    """Recomputation and compilation, as `gckd.models.compute` does them for ALBEF."""
    if config.checkpointing:
        model.activation_checkpointing_enable()
    for encoder in encoders:
        layers = getattr(encoder, "layers", None) or getattr(encoder, "layer", None)
        assert isinstance(layers, nn.ModuleList)
        compile_layers(config, layers)

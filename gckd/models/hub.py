"""Loading of transformers models, and application of a config's compute options to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from gckd.config.backbone import Compute, Tower
from gckd.errors import InputError, reason_of
from gckd.models.base import InputSizes
from gckd.models.compute import compile_layers
from gckd.storage.hub_file import hub_file
from gckd.storage.path import expanded

_UNUSED_IDS = 64  # ids of a checkpoint without a token: BLIP has two, and some sizes are rounded up


def from_folder_or_hub(model: Any, name: str) -> Any:
    """Load a transformers model class from a local folder or the hub: in float32, on the default device.

    Raises:
        InputError: `name` is neither a folder with such a model nor a name on the hub, or weights are missing.
    """
    try:
        if not expanded(name).is_dir():
            hub_file(name, "config.json")  # fails at once if offline
        with torch.device("cpu"):  # transformers needs accelerate under any other default device
            loaded, report = model.from_pretrained(name, dtype=torch.float32, output_loading_info=True)
    except Exception as error:  # offline, unknown or private name, another model class: the remedy is the same
        raise InputError(
            f"backbone.weights: {name!r} is neither a folder with a {model.__name__} nor available on the hub "
            f"({reason_of(error)}); put its config.json and model.safetensors into a folder and give that folder"
        ) from error
    missing = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
    if missing:
        raise InputError(f"backbone.weights: {name!r} is an incomplete {model.__name__}; missing: {', '.join(missing)}")
    return loaded.to(torch.get_default_device())


def check_fits_checkpoint(text: Any, patch: int, inputs: InputSizes) -> None:
    """Check that a transformers model can read the config's captions and images.

    Args:
        text: transformers config of its text encoder.
        patch: side of its patches, in pixels.

    Raises:
        InputError: the tokenizer is that of another model, whose ids mean other words; the captions are too long; or
            the images are not divisible into patches.
    """
    if not text.vocab_size - _UNUSED_IDS <= inputs.vocabulary.size <= text.vocab_size:
        raise InputError(
            f"tokenizer: its vocabulary of {inputs.vocabulary.size} is not that of the checkpoint, which has "
            f"{text.vocab_size} ids; name the checkpoint's own tokenizer: tokenizer.name"
        )
    if inputs.max_tokens > text.max_position_embeddings:
        limit = f"<= {text.max_position_embeddings} of the checkpoint"
        raise InputError(f"data.max_tokens: {inputs.max_tokens} is outside its limit: {limit}")
    for axis, pixels in (("height", inputs.height), ("width", inputs.width)):
        if pixels % patch:
            raise InputError(f"data.{axis}: {pixels} is not a multiple of the checkpoint's patch = {patch}")


def tower_sizes(tower: Tower) -> dict[str, Any]:
    """Sizes of an encoder, under the names that transformers uses."""
    return {
        "hidden_size": tower.width,
        "num_hidden_layers": tower.depth,
        "num_attention_heads": tower.heads,
        "intermediate_size": round(tower.width * tower.mlp_ratio),
    }


def apply_compute(model: Any, config: Compute, encoders: Iterable[nn.Module]) -> None:
    """Enable activation checkpointing and compilation of a transformers model, if configured."""
    if config.checkpointing:
        model.activation_checkpointing_enable()
    for encoder in encoders:
        layers = getattr(encoder, "layers", None) or getattr(encoder, "layer", None)
        assert isinstance(layers, nn.ModuleList)
        compile_layers(config, layers)

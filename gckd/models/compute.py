"""How encoders are computed: precision, recomputation, compilation. Not what they compute."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gckd.config.backbone import Compute


def autocast(config: Compute, like: Tensor) -> torch.autocast:
    """bfloat16 arithmetic, if so configured, on the device of `like`. No loss scaling: bfloat16 has float32's range."""
    return torch.autocast(like.device.type, torch.bfloat16, enabled=config.precision == "bf16")


def compile_layers(config: Compute, layers: Iterable[nn.Module]) -> None:
    """Compile each layer by itself: equal layers share their code, and weights keep their names."""
    if config.compile:
        for layer in layers:
            layer.compile()


def through(config: Compute, layer: nn.Module, *inputs: Any) -> Tensor:
    """The layer's output; its activations are recomputed in the backward pass, if so configured."""
    if config.checkpointing and torch.is_grad_enabled():
        out: Tensor = checkpoint(layer, *inputs, use_reentrant=False)
    else:
        out = layer(*inputs)
    return out

"""Precision, activation checkpointing and compilation of encoders. Results differ by rounding at most."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gckd.config.backbone import Compute


def autocast(config: Compute, like: Tensor) -> torch.autocast:
    """bfloat16 autocast on the device of `like`, if configured. bfloat16 has float32's range: no loss scaling."""
    return torch.autocast(like.device.type, torch.bfloat16, enabled=config.precision == "bf16")


def compile_layers(config: Compute, layers: Iterable[nn.Module]) -> None:
    """Compile each layer separately, if configured: equal layers share compiled code, and weights keep their names."""
    if config.compile:
        for layer in layers:
            layer.compile()


def run_layer(config: Compute, layer: nn.Module, *inputs: Any) -> Tensor:
    """Output of a layer. With activation checkpointing, the backward pass recomputes its activations."""
    if config.checkpointing and torch.is_grad_enabled():
        out: Tensor = checkpoint(layer, *inputs, use_reentrant=False)
    else:
        out = layer(*inputs)
    return out

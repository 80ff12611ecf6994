"""Precision, activation checkpointing and compilation of encoders. Results differ by rounding at most."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gckd.config.backbone import Compute


def autocast(config: Compute, like: Tensor) -> torch.autocast:
    """bfloat16 autocast on the device of `like`, if configured. bfloat16 has float32's range: no loss scaling.

    Without gradients, casts of weights are not reused: a later pass with gradients would find weights without any.
    """
    reuse, enabled = torch.is_grad_enabled() and torch.is_autocast_cache_enabled(), config.precision == "bf16"
    return torch.autocast(like.device.type, torch.bfloat16, enabled=enabled, cache_enabled=reuse)


def autocast_type(x: Tensor) -> torch.dtype:
    """Type to which linear layers and attention cast their input x; its own type without autocast."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def in_autocast_type(x: Tensor) -> Tensor:
    """The tensor as linear layers and attention cast it, so that several of them share one cast."""
    return x.to(autocast_type(x))


def reused_casts() -> torch.autocast:
    """Context in which every `autocast` inside reuses the casts of trained weights, which must not change meanwhile.

    torch drops the casts at the end of the outermost autocast context. This one does nothing else. Without autocast
    inside, it changes nothing.
    """
    return torch.autocast(torch.get_default_device().type, enabled=False)


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

"""Optimiser and learning-rate schedule."""

from __future__ import annotations

import math

import torch
from torch import nn

from gckd.models.base import Backbone


def keep_trainable(student: Backbone, parameters: str) -> None:
    """Freezes all of the student but what `adapt.parameters` names; what was frozen before stays so."""
    if parameters == "text-norms":
        student.requires_grad_(False)
        for norm in student.text_layer_norms():
            norm.requires_grad_(True)


def make_optimiser(modules: nn.Module, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW; weight decay is not applied to 1-D parameters (biases, norms, temperature)."""
    parameters = [p for p in modules.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), fused=True)


def rate(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate at `step` (from 0): linear rise over `warmup * steps`, then cosine to zero."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def set_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr

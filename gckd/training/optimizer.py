"""Optimiser, trainable parameters and learning-rate schedule."""

from __future__ import annotations

import math

import torch
from torch import nn

from gckd.models.base import Backbone


def freeze_untrained(student: Backbone, parameters: str) -> None:
    """Freeze the parameters of the student that `adapt.parameters` excludes; frozen ones stay frozen."""
    if parameters == "text-norms":
        student.requires_grad_(False)
        for norm in student.text_layer_norms():
            norm.requires_grad_(True)


def make_optimiser(modules: nn.Module, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW without weight decay on 1-D parameters (biases, norms, temperature)."""
    parameters = [p for p in modules.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), fused=True)


def learning_rate_factor(step: int, steps: int, warmup: float) -> float:
    """Learning rate at `step` (from 0) relative to its peak: linear over `warmup * steps`, then cosine to zero."""
    warmup_steps = max(1, round(warmup * steps))
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))


def set_learning_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimiser.param_groups:
        group["lr"] = lr

"""Slot of the optimiser, trainable parameters, and learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from gckd.config.component import OptimizerConfig
from gckd.config.optimizers import AdamW, Muon
from gckd.config.registry import Registry
from gckd.models.base import Backbone

# Arguments: trained modules, peak learning rate, weight decay. Every trainable parameter is in one of the optimisers,
# whose groups have their peak learning rates.
OPTIMIZERS: Registry[OptimizerConfig, tuple[Optimizer, ...], nn.Module, float, float] = Registry(OptimizerConfig)


class ScheduledOptimizer:
    """Optimisers of disjoint parameters, whose learning rates follow one schedule.

    Args:
        optimizers: each parameter group has its peak learning rate.
    """

    def __init__(self, optimizers: tuple[Optimizer, ...]) -> None:
        self.optimizers = optimizers
        self._peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]

    def set_learning_rate(self, factor: float) -> None:
        """Set the learning rate of every parameter group to `factor` times its peak."""
        for optimizer, peaks in zip(self.optimizers, self._peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = factor * peak

    def zero_grad(self) -> None:
        """Remove all gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self) -> None:
        """Update all parameters."""
        for optimizer in self.optimizers:
            optimizer.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """State of each optimiser."""
        return [optimizer.state_dict() for optimizer in self.optimizers]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Load what `state_dict` returned.

        Options that the state lacks keep their values: checkpoints may have a state of `torch.optim.Muon`.
        """
        for optimizer, state in zip(self.optimizers, states, strict=True):
            groups = [dict(group) for group in optimizer.param_groups]
            optimizer.load_state_dict(state)
            for loaded, group in zip(optimizer.param_groups, groups, strict=True):
                loaded.update({key: value for key, value in group.items() if key not in loaded})


@OPTIMIZERS.register(AdamW)
def _adamw(node: AdamW, modules: nn.Module, lr: float, weight_decay: float) -> tuple[Optimizer, ...]:
    return (_adamw_of(trainable(modules), lr, weight_decay),)


@OPTIMIZERS.register(Muon)
def _muon(node: Muon, modules: nn.Module, lr: float, weight_decay: float) -> tuple[Optimizer, ...]:
    """Source: Jordan et al., "Muon", 2024, with the learning rates of the original.

    The updates are those of `torch.optim.Muon`, which orthogonalises one matrix at a time. Here matrices of equal shape
    are one batch: several times faster for small matrices.
    """
    from pytorch_optimizer import Muon as BatchedMuon  # slow to import

    matrices = weight_matrices(modules)
    matrix_ids = {id(matrix) for matrix in matrices}
    others = _adamw_of([p for p in trainable(modules) if id(p) not in matrix_ids], lr, weight_decay)
    if not matrices:
        return (others,)
    options = {"lr": node.lr_ratio * lr, "weight_decay": weight_decay, "momentum": node.momentum}
    return BatchedMuon([{"params": matrices, "use_muon": True} | options]), others


def trainable(modules: nn.Module) -> list[nn.Parameter]:
    """Parameters that require gradients."""
    return [parameter for parameter in modules.parameters() if parameter.requires_grad]


def weight_matrices(modules: nn.Module) -> list[nn.Parameter]:
    """Trainable parameters with two dimensions, except embeddings and the vocabulary head."""
    embeddings = {id(module.weight) for module in modules.modules() if isinstance(module, nn.Embedding)}
    head_shapes = {tuple(model.word_embeddings().shape) for model in modules.modules() if isinstance(model, Backbone)}
    matrices = [p for p in trainable(modules) if p.ndim == 2 and id(p) not in embeddings]
    return [matrix for matrix in matrices if tuple(matrix.shape) not in head_shapes]


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups without weight decay on 1-D parameters (biases, norms, temperature)."""
    parameters = list(parameters)
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _adamw_of(parameters: Iterable[nn.Parameter], lr: float, weight_decay: float) -> Optimizer:
    return torch.optim.AdamW(decay_groups(parameters, weight_decay), lr=lr, betas=(0.9, 0.98), fused=True)


def freeze_untrained(student: Backbone, parameters: str) -> None:
    """Freeze the parameters of the student that `adapt.parameters` excludes; frozen ones stay frozen."""
    if parameters == "text-norms":
        student.requires_grad_(False)
        for norm in student.text_layer_norms():
            norm.requires_grad_(True)


def learning_rate_factor(step: int, steps: int, warmup: float) -> float:
    """Learning rate at `step` (from 0) relative to its peak: linear over `warmup * steps`, then cosine to zero."""
    warmup_steps = max(1, round(warmup * steps))
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))

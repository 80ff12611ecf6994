"""Domain-adversarial alignment: a discriminator behind a gradient reversal layer."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gckd.config.align import Adversarial
from gckd.distill.align import Compared

MODALITIES = {"both": ("image", "text"), "image": ("image",), "text": ("text",)}


class AdversarialTerm(nn.Module):
    """Binary cross-entropy of domain discriminators, which the encoders learn to raise: the mean of the modalities'.

    Source: Ganin et al., "Domain-adversarial training of neural networks", JMLR 2016. What reaches the encoders is
    -lambda times the gradient, lambda = 2 / (1 + exp(-gamma progress)) - 1 (section 5.2.2). Ours: one discriminator
    for each modality, on the unit embeddings that retrieval compares; without dropout, and trained by the optimiser
    and at the learning rate of everything else.
    """

    def __init__(self, config: Adversarial, width: int) -> None:
        super().__init__()
        self.gamma = config.gamma
        names = MODALITIES[config.modality]
        self.discriminators = nn.ModuleDict({name: _discriminator(width, config.hidden) for name in names})

    def forward(self, source: Compared, target: Compared, progress: float) -> dict[str, Tensor]:
        weight = reversal(self.gamma, progress)
        losses = []
        for name, discriminator in self.discriminators.items():
            x, y = getattr(source, name), getattr(target, name)
            logits = discriminator(reverse(torch.cat((x, y)), weight)).squeeze(1)
            domain = torch.cat((torch.zeros(len(x)), torch.ones(len(y))))
            losses.append(F.binary_cross_entropy_with_logits(logits, domain))
        return {"align": torch.stack(losses).mean()}


def reversal(gamma: float, progress: float) -> float:
    """lambda: 0 at the start, near 1 at the end."""
    return 2 / (1 + math.exp(-gamma * progress)) - 1


def reverse(x: Tensor, weight: float) -> Tensor:
    """`x` itself; its gradient is multiplied by -weight."""
    found: Tensor = _Reverse.apply(x, weight)  # type: ignore[no-untyped-call]
    return found


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return -ctx.weight * gradient, None


def _discriminator(width: int, hidden: int) -> nn.Module:
    """Embeddings [B, width] -> logits [B, 1] of being from the target."""
    layers = nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
    return nn.Sequential(*layers)

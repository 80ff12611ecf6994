"""What makes source and target embeddings look alike: the protocol, and the object that stands for its absence."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gckd.config.losses import Adversarial, Mmd


class StudentEmbeddings(NamedTuple):
    """The student's embeddings of one domain's batch, [B, d] each: unit vectors in the space they are compared in."""

    image: Tensor
    text: Tensor


class AlignmentLoss(Protocol):
    """Loss terms of the domains' difference; `progress` in [0, 1) is the share of adaptation that is done."""

    def __call__(self, source: StudentEmbeddings, target: StudentEmbeddings, progress: float) -> dict[str, Tensor]: ...


class NoAlignmentLoss:
    """The domains are not aligned."""

    def __call__(self, source: StudentEmbeddings, target: StudentEmbeddings, progress: float) -> dict[str, Tensor]:
        return {}


class MmdLoss:
    """MMD^2 of source and target embeddings: the mean of both modalities' (`mmd2`).

    Source: Gretton et al., "A kernel two-sample test", JMLR 2012, eq. 3; several kernels after Long et al., "Learning
    transferable features with deep adaptation networks", ICML 2015. Ours: the kernels weigh alike instead of by
    learned weights, and the embeddings are those that retrieval compares (two modalities, without their domain's mean
    if so configured) instead of a classifier's last layers.
    """

    def __init__(self, config: Mmd) -> None:
        self.config = config

    def __call__(self, source: StudentEmbeddings, target: StudentEmbeddings, progress: float) -> dict[str, Tensor]:
        losses = [mmd2(x, y, self.config.kernels) for x, y in zip(source, target, strict=True)]
        return {"align": torch.stack(losses).mean()}


def mmd2(x: Tensor, y: Tensor, kernels: int) -> Tensor:
    """The unbiased estimate of MMD^2 of samples [n, d] and [m, d]; below 0 at times, 0 on average if they are alike.

    k(a, b) is the mean over i < `kernels` of exp(-|a - b|^2 / (2^(i - kernels // 2) s)), where s is the median of the
    squared distances in the pooled sample, a constant to the gradient.
    """
    pooled = torch.cat((x, y))
    length = pooled.square().sum(1)
    distance = (length[:, None] + length - 2 * pooled @ pooled.T).clamp(min=0)
    upper = torch.ones_like(distance, dtype=torch.bool).triu(1)
    median = distance.detach()[upper].median().clamp(min=torch.finfo(x.dtype).tiny)
    widths = [2.0 ** (i - kernels // 2) for i in range(kernels)]
    kernel = torch.stack([torch.exp(-distance / (width * median)) for width in widths]).mean(0)
    n, m = len(x), len(y)
    within_x = (kernel[:n, :n].sum() - kernel[:n, :n].trace()) / (n * (n - 1))
    within_y = (kernel[n:, n:].sum() - kernel[n:, n:].trace()) / (m * (m - 1))
    return within_x + within_y - 2 * kernel[:n, n:].mean()


MODALITIES = {"both": ("image", "text"), "image": ("image",), "text": ("text",)}


class AdversarialLoss(nn.Module):
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

    def forward(self, source: StudentEmbeddings, target: StudentEmbeddings, progress: float) -> dict[str, Tensor]:
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

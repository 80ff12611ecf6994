"""Alignment of the source and target embeddings: MMD and domain-adversarial losses."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gckd.config.component import AlignmentConfig
from gckd.config.losses import Adversarial, Mmd, NoAlignment
from gckd.config.registry import Registry


class StudentEmbeddings(NamedTuple):
    """The student's unit embeddings [B, d] of one domain's batch, in the space of the banks (centred or not)."""

    image: Tensor
    text: Tensor


class AlignmentLoss(Protocol):
    """Loss on the difference between the domains (slot `align`)."""

    def __call__(self, source: StudentEmbeddings, target: StudentEmbeddings, progress: float) -> dict[str, Tensor]:
        """Named loss terms of a source batch and a target batch.

        Args:
            progress: share of the adaptation that is done, in [0, 1).
        """
        ...


# The argument is the embedding width d.
ALIGNMENTS: Registry[AlignmentConfig, AlignmentLoss, int] = Registry(AlignmentConfig)


@ALIGNMENTS.register(NoAlignment)
class NoAlignmentLoss:
    """No alignment."""

    def __init__(self, node: NoAlignment, width: int) -> None:
        pass

    def __call__(self, source: StudentEmbeddings, target: StudentEmbeddings, progress: float) -> dict[str, Tensor]:
        return {}


@ALIGNMENTS.register(Mmd)
class MmdLoss:
    """Maximum mean discrepancy between source and target: mean of MMD^2 (`mmd2`) over the two modalities.

    Args:
        node: the number of kernels.
        width: d, not used.

    Shapes:
        source [n, d], target [m, d] per modality -> {"align": scalar}.

    Source: Gretton et al., "A kernel two-sample test", JMLR 2012, eq. 3; with several kernels as in Long et al.,
    "Learning transferable features with deep adaptation networks", ICML 2015.

    Differences from the papers: all kernels have the same weight instead of a learned one, and the loss is on the
    embeddings that retrieval compares (two modalities, centred if `centre` is set), not on the last layers of a
    classifier.
    """

    def __init__(self, node: Mmd, width: int) -> None:
        self.kernels = node.kernels

    def __call__(self, source: StudentEmbeddings, target: StudentEmbeddings, progress: float) -> dict[str, Tensor]:
        losses = [mmd2(x, y, self.kernels) for x, y in zip(source, target, strict=True)]
        return {"align": torch.stack(losses).mean()}


def mmd2(x: Tensor, y: Tensor, kernels: int) -> Tensor:
    """Unbiased estimate of MMD^2; it can be negative, and is 0 on average for samples of one distribution.

        MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)
        k(a, b) = mean_{i < kernels} exp(-|a - b|^2 / (2^(i - kernels // 2) s))

    s is the median squared distance in the pooled sample, without a gradient.

    Shapes:
        x [n, d], y [m, d], n and m at least 2 -> scalar.
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


@ALIGNMENTS.register(Adversarial)
class AdversarialLoss(nn.Module):
    """Domain-adversarial loss: binary cross-entropy of a domain discriminator per modality, the mean over modalities.

    The discriminators minimise it. A gradient reversal layer makes the encoders maximise it:

        dL/dx <- -lambda dL/dx,  lambda = 2 / (1 + exp(-gamma progress)) - 1

    Args:
        node: gamma, the modalities, and the width of the discriminators' hidden layers.
        width: d.

    Shapes:
        source [n, d], target [m, d] per modality -> {"align": scalar}.

    Source: Ganin et al., "Domain-adversarial training of neural networks", JMLR 2016, section 5.2.2.

    Differences from the paper: one discriminator per modality, on the unit embeddings that retrieval compares; no
    dropout; the optimiser and the learning rate are those of all other weights.
    """

    def __init__(self, node: Adversarial, width: int) -> None:
        super().__init__()
        self.gamma = node.gamma
        modalities = MODALITIES[node.modality]
        self.discriminators = nn.ModuleDict({name: _discriminator(width, node.hidden) for name in modalities})

    def forward(self, source: StudentEmbeddings, target: StudentEmbeddings, progress: float) -> dict[str, Tensor]:
        weight = reversal_weight(self.gamma, progress)
        losses = []
        for modality, discriminator in self.discriminators.items():
            x, y = getattr(source, modality), getattr(target, modality)
            logits = discriminator(reverse_gradient(torch.cat((x, y)), weight)).squeeze(1)
            domain = torch.cat((torch.zeros(len(x)), torch.ones(len(y))))
            losses.append(F.binary_cross_entropy_with_logits(logits, domain))
        return {"align": torch.stack(losses).mean()}


def reversal_weight(gamma: float, progress: float) -> float:
    """lambda of gradient reversal: 0 at progress 0, near 1 at progress 1."""
    return 2 / (1 + math.exp(-gamma * progress)) - 1


def reverse_gradient(x: Tensor, weight: float) -> Tensor:
    """`x` unchanged; its gradient is multiplied by -weight."""
    out: Tensor = _GradientReversal.apply(x, weight)  # type: ignore[no-untyped-call]
    return out


class _GradientReversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return -ctx.weight * gradient, None


def _discriminator(width: int, hidden: int) -> nn.Module:
    """Embeddings [B, width] -> logits [B, 1]; positive means target."""
    layers = nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
    return nn.Sequential(*layers)

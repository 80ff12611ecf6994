"""Augmentation: Gaussian noise on every pixel."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gckd.extend import AUGMENTATIONS, AugmentationConfig, clean_view, local_rows, option


@dataclass(frozen=True)
class PixelNoise(AugmentationConfig):
    """Gaussian noise on every pixel."""

    kind: ClassVar[str] = "pixel-noise"
    sigma: float = option(0.1, "standard deviation of the noise", ge=0, le=1)


@AUGMENTATIONS.register(PixelNoise)
class PixelNoiseView:
    def __init__(self, node: PixelNoise) -> None:
        self.sigma = node.sigma

    def __call__(self, images: Tensor, generator: torch.Generator, batch: int) -> Tensor:
        noise = local_rows(torch.randn(batch, *images.shape[1:], generator=generator))
        return clean_view(images) + self.sigma * noise.to(images.device)

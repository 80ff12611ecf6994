"""RandAugment (Cubuk et al., 2020) on whole batches, by kornia, wherever the images are."""

from __future__ import annotations

import torch
from kornia.augmentation.auto import RandAugment as KorniaRandAugment
from torch import Tensor

from gckd.config.data import RandAugment
from gckd.data.augment import erased

GROUP = 4  # images that share their operations, as kornia draws them for a whole call

# The operations of ALBEF's fine-tuning (`dataset/__init__.py` of salesforce/ALBEF at b9727e4), in kornia's ranges.
_OPERATIONS: list[list[tuple[str, float, float | None]]] = [
    [("auto_contrast", 0, 1)],
    [("equalize", 0, 1)],
    [("brightness", 0.1, 1.9)],
    [("sharpness", 0.1, 1.9)],
    [("rotate", -30.0, 30.0)],
    [("shear_x", -0.3, 0.3)],
    [("shear_y", -0.3, 0.3)],
    [("translate_x", -0.1, 0.1)],
    [("translate_y", -0.1, 0.1)],
]
_LEVELS = 30  # of kornia's magnitudes


def rand_augmented(images: Tensor, config: RandAugment, generator: torch.Generator) -> Tensor:
    """Random mirror, operations and erasing of a uint8 batch [B, 3, H, W].

    Returns:
        float32 [B, 3, H, W], around [-1, 1]. The same generator state gives the same view.
    """

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=generator.device)

    x = images.float() / 255
    if config.flip:
        x = torch.where(uniform(len(x), 1, 1, 1) < 0.5, x.flip(3), x)
    level = min(_LEVELS - 1, round(config.magnitude * _LEVELS))
    if level:  # kornia refuses zero, where pre-training's ramp begins
        policy = KorniaRandAugment(config.operations, level, _OPERATIONS)
        # kornia draws from the global streams.
        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
            torch.manual_seed(seed)
            x = torch.cat([policy(part) for part in x.split(GROUP)])
    return erased(x * 2 - 1, uniform(len(x)) < config.erase, uniform(len(x), 5))

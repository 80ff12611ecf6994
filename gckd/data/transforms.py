"""Views of a batch of images: clean for the teacher, strong for the student. Built-in augmentations of the strong view.

A strong view is made by the class that `AUGMENTATIONS` holds for the config node. Every view works on a whole batch and
is a function of its arguments: the same generator state gives the same view.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.component import AugmentationConfig
from gckd.config.data import Augment, RandAugment
from gckd.config.registry import Registry
from gckd.data.prefetch import on_default_device
from gckd.data.rand_augment import LEVELS, random_operations
from gckd.distributed import local_rows


class Augmentation(Protocol):
    """Strong view of a batch of images."""

    def __call__(self, images: Tensor, generator: torch.Generator, batch: int) -> Tensor:
        """Augment this worker's b rows of a batch of B images; with one worker, b = B.

        Args:
            images: [b, 3, H, W] uint8; must not be changed in place.
            generator: the only source of random numbers, the same for all workers. An augmentation that draws them for
                B images and keeps the `local_rows` does not depend on the number of workers.
            batch: B.

        Returns:
            [b, 3, H, W] float32, on the scale of `clean_view`: about [-1, 1].
        """


AUGMENTATIONS: Registry[AugmentationConfig, Augmentation] = Registry(AugmentationConfig)


def clean_view(images: Tensor) -> Tensor:
    """Images [B, 3, H, W] uint8 as float32 in [-1, 1]."""
    return images.float().div_(127.5).sub_(1.0)


def strong_view(
    images: Tensor, config: AugmentationConfig, generator: torch.Generator, batch: int | None = None
) -> Tensor:
    """The student's view of images [b, 3, H, W] uint8, by the augmentation that `config` describes.

    Args:
        batch: B, images of all workers; None if these are all images.

    Returns:
        [b, 3, H, W] float32, about [-1, 1].

    Raises:
        ConfigError: no augmentation is registered for the class of `config`.
    """
    return AUGMENTATIONS.build(config)(images, generator, len(images) if batch is None else batch)


@AUGMENTATIONS.register(Augment)
class DomainRandomisation:
    """Random mirror, translation, contrast, colour, brightness, blur, noise and erasing."""

    def __init__(self, config: Augment) -> None:
        self.config = config

    def __call__(self, images: Tensor, generator: torch.Generator, batch: int) -> Tensor:
        config = self.config

        def uniform(*shape: int) -> Tensor:
            return local_rows(torch.rand(*shape, generator=generator))

        def signed(*shape: int) -> Tensor:
            return uniform(*shape) * 2 - 1

        x = _move(clean_view(images), signed(batch, 2) * config.shift, uniform(batch) < 0.5 if config.flip else None)
        mean = x.mean((1, 2, 3), keepdim=True)
        gain = torch.exp(signed(batch, 1, 1, 1) * config.contrast)
        x = (x - mean) * gain + mean
        # Channel gains are factors on light, so they act on [0, 2], where black stays black.
        x = (x + 1) * torch.exp(signed(batch, 3, 1, 1) * config.channel_gain) - 1
        x = x + signed(batch, 1, 1, 1) * config.brightness * 2
        blurred = uniform(batch) < config.blur
        x[blurred] = _blur(x[blurred])
        noise = local_rows(torch.randn(batch, *x.shape[1:], generator=generator))
        x = x + noise * (uniform(batch, 1, 1, 1) * config.noise * 2)
        return _erase(x.clamp_(-1.2, 1.2), uniform(batch) < config.erase, uniform(batch, 5))


@AUGMENTATIONS.register(RandAugment)
class AlbefRandAugment:
    """Random mirror, operations of ALBEF's fine-tuning, and erasing. Everything is drawn on the CPU."""

    def __init__(self, config: RandAugment) -> None:
        self.config = config

    def __call__(self, images: Tensor, generator: torch.Generator, batch: int) -> Tensor:
        random = _cpu_generator(generator)

        def uniform(*shape: int) -> Tensor:
            return on_default_device(local_rows(torch.rand(*shape, generator=random, device="cpu")))

        x = images.float() / 255
        if self.config.flip:
            x = torch.where(uniform(batch, 1, 1, 1) < 0.5, x.flip(3), x)
        level = min(LEVELS - 1, round(self.config.magnitude * LEVELS))
        if level:  # the ramp of pre-training starts at 0, which kornia refuses
            seed = int(torch.randint(2**31, (), generator=random, device="cpu"))
            x = random_operations(x, self.config.operations, level, seed, batch)
        return _erase(x * 2 - 1, uniform(batch) < self.config.erase, uniform(batch, 5))


def _cpu_generator(generator: torch.Generator) -> torch.Generator:
    """The generator itself, or one of the CPU with its seed: reading draws of a GPU would wait for it."""
    if generator.device.type == "cpu":
        return generator
    return torch.Generator("cpu").manual_seed(generator.initial_seed())


def drop_words(tokens: Tensor, rate: float, mask_id: int, first_word: int, generator: torch.Generator) -> Tensor:
    """Replace a share `rate` of the words of tokens [B, L] int64 by `mask_id`.

    Special tokens, whose ids are below `first_word`, stay.
    """
    chosen = (torch.rand(tokens.shape, generator=generator) < rate) & (tokens >= first_word)
    return torch.where(chosen, mask_id, tokens)


def _move(x: Tensor, shift: Tensor, mirror: Tensor | None) -> Tensor:
    """Images [B, 3, H, W] moved by `shift` [B, 2] (shares of H and W); those with `mirror` [B] are mirrored."""
    batch, _, height, width = x.shape
    rows = torch.arange(height)[None] + (shift[:, :1] * height).round().long()
    columns = torch.arange(width)[None] + (shift[:, 1:] * width).round().long()
    if mirror is not None:
        columns = torch.where(mirror[:, None], width - 1 - columns, columns)
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    pixels = (rows[:, :, None] * width + columns[:, None, :]).view(batch, 1, -1)
    return x.flatten(2).gather(2, pixels.expand(-1, 3, -1)).view_as(x)


def _blur(x: Tensor) -> Tensor:
    """Images [B, 3, H, W] under a 3 x 3 binomial filter."""
    x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    x = (x[:, :, :-2] + 2 * x[:, :, 1:-1] + x[:, :, 2:]) / 4
    return (x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]) / 4


def _erase(x: Tensor, chosen: Tensor, draw: Tensor) -> Tensor:
    """Fill one rectangle of the `chosen` images with a grey level (Zhong et al., random erasing, AAAI 2020).

    Args:
        x: images [B, 3, H, W].
        chosen: [B] bool.
        draw: [B, 5] in [0, 1]: size (10 to 45 % of each side), position, grey level.
    """
    _, _, height, width = x.shape
    size = 0.1 + 0.35 * draw[:, :2]
    start = draw[:, 2:4] * (1 - size)
    rows = torch.arange(height, device=x.device)[None] / height
    columns = torch.arange(width, device=x.device)[None] / width
    inside_rows = (rows >= start[:, :1]) & (rows < start[:, :1] + size[:, :1])
    inside_columns = (columns >= start[:, 1:]) & (columns < start[:, 1:] + size[:, 1:])
    hole = inside_rows[:, :, None] & inside_columns[:, None, :] & chosen[:, None, None]
    return torch.where(hole[:, None], draw[:, 4, None, None, None] * 2 - 1, x)

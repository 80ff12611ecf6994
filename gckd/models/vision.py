"""ALBEF's vision transformer: pre-norm, class token, learned positions, no pooling; parameter names as published."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gckd.config.backbone import Compute, Vision
from gckd.models.compute import run_layer

Grid = tuple[int, int]  # rows and columns of patches


class Attention(nn.Module):
    """Multi-head self-attention with one fused `qkv` projection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x_BPW: Tensor, outputs: int) -> Tensor:
        batch, tokens, width = x_BPW.shape
        qkv = self.qkv(x_BPW).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        mixed = F.scaled_dot_product_attention(query[:, :, :outputs], key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, outputs, width))
        return out


class Mlp(nn.Module):
    """Two linear layers with exact GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """Pre-norm transformer block: tokens [B, P, width] -> the first `outputs` tokens [B, outputs, width]."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, round(width * mlp_ratio))

    def forward(self, x: Tensor, outputs: int) -> Tensor:
        x = x[:, :outputs] + self.attn(self.norm1(x), outputs)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


_CLIP_PIXELS = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "deviation": (0.26862954, 0.26130258, 0.27577711),
}


class ClipPixels(nn.Module):
    """Normalise images [B, 3, H, W] in [-1, 1] by mean and deviation of CLIP's training images, as ALBEF does."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in _CLIP_PIXELS.items():  # on the device of the model, but no part of its weights
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return ((images + 1) / 2 - self.mean) / self.deviation


class PatchEmbed(nn.Module):
    """Linear projection of non-overlapping patches: [B, 3, H, W] -> [B, P, width]."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.proj(images)
        return out.flatten(2).transpose(1, 2)


class ConvEmbed(nn.Module):
    """Convolutional stem: 3 x 3 convolutions of stride 2 instead of a linear projection, [B, 3, H, W] -> [B, P, width].

    For training from random weights on few images. Source: Xiao et al., "Early convolutions help transformers see
    better", NeurIPS 2021.
    """

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        halvings = patch.bit_length() - 1
        sizes = [3, *(max(16, width >> (halvings - i)) for i in range(1, halvings)), width]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in itertools.pairwise(sizes))

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for conv in self.convs[:-1]:
            x = F.relu(conv(x))
        out: Tensor = self.convs[-1](x)
        return out.flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """Images [B, 3, H, W] in [-1, 1] -> tokens [B, 1 + P, width]; token 0 is the class token.

    With `class_token_only`, the last block computes that token alone: [B, 1, width].

    Names and arithmetic follow salesforce/ALBEF `models/vit.py` at b9727e4, without dropout and drop path, which are 0
    there by default.
    """

    def __init__(self, config: Vision, height: int, width: int, compute: Compute) -> None:
        super().__init__()
        self.compute, self.normalise = compute, _NORMALISE[config.pixels]()
        patches = (height // config.patch) * (width // config.patch)
        self.patch_embed = _STEMS[config.stem](config.patch, config.width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + patches, config.width))
        self.blocks = nn.ModuleList(Block(config.width, config.heads, config.mlp_ratio) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        std = init_std(config.width)
        nn.init.trunc_normal_(self.pos_embed, std=std)
        nn.init.trunc_normal_(self.cls_token, std=std)
        initialise(self, std)

    def forward(self, images: Tensor, class_token_only: bool = False) -> Tensor:
        patches = self.patch_embed(self.normalise(images))
        x = torch.cat((self.cls_token.expand(len(patches), -1, -1), patches), 1) + self.pos_embed
        for block in self.blocks:
            last = block is self.blocks[-1]
            x = run_layer(self.compute, block, x, 1 if class_token_only and last else x.shape[1])
        out: Tensor = self.norm(x)
        return out


_NORMALISE = {"half": nn.Identity, "clip": ClipPixels}
_STEMS = {"linear": PatchEmbed, "conv": ConvEmbed}


def trained_grid(patches: int, model_grid: Grid, square: bool = True) -> Grid | None:
    """Grid that a checkpoint's `patches` position embeddings were trained on, or None if it cannot be inferred.

    A square if the number allows it, else a grid of the model's aspect ratio. A checkpoint does not say: published
    ALBEF was trained on squares, person retrieval models on tall crops.

    Args:
        square: false: a number that equals that of the model is the model's grid, even if it could be a square.
    """
    side = math.isqrt(patches)
    if side * side == patches and (square or patches != model_grid[0] * model_grid[1]):
        return side, side
    rows = math.isqrt(patches * model_grid[0] // model_grid[1])
    return (rows, patches // rows) if rows and rows * model_grid[1] == (patches // rows) * model_grid[0] else None


def resize_positions(positions: Tensor, old: Grid, new: Grid, mode: str) -> Tensor:
    """Resize position embeddings [1, 1 + P, width] from one grid to another, except that of the class token.

    Source: `interpolate_pos_embed` in salesforce/ALBEF `models/vit.py` at b9727e4 (bicubic, corners not aligned).
    Differs: any grids; the original supports squares only.
    """
    token, patches = positions[:, :1], positions[:, 1:]
    image = patches.unflatten(1, old).permute(0, 3, 1, 2)
    resized = F.interpolate(image, size=new, mode=mode, align_corners=False)
    return torch.cat((token, resized.flatten(2).transpose(1, 2)), 1)


def init_std(width: int) -> float:
    """Standard deviation of initial weights, 0.02 sqrt(768 / width): ALBEF's at width 768, larger in narrow layers."""
    return 0.02 * float((768 / width) ** 0.5)


def initialise(module: nn.Module, std: float) -> None:
    """Initialise every linear and embedding layer in `module`: normal weights, zero biases."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Embedding):
            nn.init.normal_(layer.weight, std=std)
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.bias)

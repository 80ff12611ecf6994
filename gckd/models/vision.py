"""Vision transformer with ALBEF's layout and names (pre-norm, class token, learned positions, no pooling)."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gckd.config.backbone import Compute, Vision
from gckd.models.compute import through

Grid = tuple[int, int]  # patches: rows, columns


class Attention(nn.Module):
    """Multi-head self-attention with one fused `qkv` projection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x_BPW: Tensor) -> Tensor:
        batch, tokens, width = x_BPW.shape
        qkv = self.qkv(x_BPW).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))
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
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, round(width * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class ClipPixels(nn.Module):
    """Images around [-1, 1] -> normalised by the mean and deviation of CLIP's training images, as ALBEF's are."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.new_tensor((0.48145466, 0.4578275, 0.40821073)).view(3, 1, 1)
        deviation = images.new_tensor((0.26862954, 0.26130258, 0.27577711)).view(3, 1, 1)
        return ((images + 1) / 2 - mean) / deviation


class PatchEmbed(nn.Module):
    """Non-overlapping patches as tokens: [B, 3, H, W] -> [B, P, width]."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.proj(images)
        return out.flatten(2).transpose(1, 2)


class ConvEmbed(nn.Module):
    """The same tokens through 3 x 3 convolutions of stride 2 (Xiao et al., "Early convolutions", NeurIPS 2021).

    Meant for transformers trained from random weights on few images.
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
    """Images [B, 3, H, W] (normalised) -> tokens [B, 1 + P, width]; token 0 is the class token.

    Names and arithmetic follow salesforce/ALBEF `models/vit.py` at b9727e4 (dropout and drop path there default to 0).
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

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patch_embed(self.normalise(images))
        x = torch.cat((self.cls_token.expand(len(patches), -1, -1), patches), 1) + self.pos_embed
        for block in self.blocks:
            x = through(self.compute, block, x)
        out: Tensor = self.norm(x)
        return out


_NORMALISE = {"half": nn.Identity, "clip": ClipPixels}
_STEMS = {"linear": PatchEmbed, "conv": ConvEmbed}


def grid_of(patches: int, like: Grid) -> Grid | None:
    """The grid that so many position embeddings were trained on: square if it can be, else shaped `like` the other.

    Published ALBEF is trained on squares, person retrieval on crops; a checkpoint does not say which.
    """
    side = math.isqrt(patches)
    if side * side == patches and patches != like[0] * like[1]:
        return side, side
    rows = math.isqrt(patches * like[0] // like[1])
    return (rows, patches // rows) if rows and rows * like[1] == (patches // rows) * like[0] else None


def resize_positions(positions: Tensor, old: Grid, new: Grid, mode: str) -> Tensor:
    """Position embeddings [1, 1 + P, width] of one grid for another; the class token's stays as it is.

    Source: `interpolate_pos_embed` in salesforce/ALBEF `models/vit.py` at b9727e4 (bicubic, corners not aligned), which
    knows squares alone.
    """
    token, patches = positions[:, :1], positions[:, 1:]
    image = patches.unflatten(1, old).permute(0, 3, 1, 2)
    resized = F.interpolate(image, size=new, mode=mode, align_corners=False)
    return torch.cat((token, resized.flatten(2).transpose(1, 2)), 1)


def init_std(width: int) -> float:
    """0.02 at the published width of 768, growing as 1 / sqrt(width): narrow layers would otherwise start near zero."""
    return 0.02 * float((768 / width) ** 0.5)


def initialise(module: nn.Module, std: float) -> None:
    """Normal weights, zero biases, in every linear and embedding layer below `module`."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Embedding):
            nn.init.normal_(layer.weight, std=std)
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.bias)

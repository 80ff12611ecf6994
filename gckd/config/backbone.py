"""The retriever: image, text and fusion encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gckd.config.fields import knob, part


@dataclass(frozen=True)
class Vision:
    """Vision transformer (pre-norm, class token)."""

    patch: int = knob(8, "side of a square patch", unit="pixels", ge=2, le=64)
    stem: str = knob(
        "conv", "how a patch becomes a token: one linear map, or stride-2 convolutions", choices=("linear", "conv")
    )
    width: int = knob(64, "token width", ge=8, le=4096)
    depth: int = knob(3, "blocks", ge=1, le=64)
    heads: int = knob(2, "attention heads", ge=1, le=64)
    mlp_ratio: float = knob(4.0, "hidden width of the MLP / token width", gt=0, le=16)
    pixels: str = knob(
        "half",
        "mean and deviation that pixels are normalised by: 0.5 and 0.5, or those of CLIP, which ALBEF's weights expect",
        choices=("half", "clip"),
    )


@dataclass(frozen=True)
class Text:
    """BERT-style text transformer; its last `fusion_depth` layers also attend to the image tokens."""

    width: int = knob(64, "token width", ge=8, le=4096)
    depth: int = knob(2, "text-only layers", ge=1, le=64)
    fusion_depth: int = knob(1, "layers with cross-attention to the image", ge=1, le=64)
    heads: int = knob(2, "attention heads", ge=1, le=64)
    mlp_ratio: float = knob(4.0, "hidden width of the MLP / token width", gt=0, le=16)
    dropout: float = knob(0.0, "dropout in the text layers", ge=0, lt=1)


@dataclass(frozen=True)
class Compute:
    """How the encoders are computed. Embeddings, similarities and losses stay in float32."""

    precision: str = knob("fp32", "arithmetic of the encoders: float32, or bfloat16 autocast", choices=("fp32", "bf16"))
    checkpointing: bool = knob(False, "recompute each layer in the backward pass: less memory, a third more time")
    compile: bool = knob(False, "torch.compile each layer: slow first steps, quicker ones after")


@dataclass(frozen=True)
class Albef:
    """ALBEF: image, text and fusion encoders, projections to the joint space, matching head and MLM head."""

    kind: ClassVar[str] = "albef"
    vision: Vision = part(Vision, "image encoder")
    text: Text = part(Text, "text and fusion encoder")
    embed_dim: int = knob(96, "d: width of the joint embedding", ge=4, le=4096)
    compute: Compute = part(Compute, "how it is computed")
    tau: float = knob(0.07, "initial temperature, learned", gt=0, le=1)
    weights: str = knob("", "an ALBEF checkpoint (.pth or .safetensors) to start from; empty: random weights")
    strict: bool = knob(True, "refuse a checkpoint with missing, unexpected or misshapen weights, or load the rest")
    positions: str = knob(
        "bicubic", "how its position embeddings are resized to other images", choices=("bicubic", "bilinear")
    )

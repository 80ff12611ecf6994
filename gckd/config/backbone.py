"""The retriever: image, text and fusion encoders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from gckd.config.component import BackboneConfig
from gckd.config.data import Data
from gckd.config.fields import option, section


@dataclass(frozen=True)
class Vision:
    """Vision transformer (pre-norm, class token)."""

    patch: int = option(16, "side of a square patch", unit="pixels", ge=2, le=64)
    stem: str = option(
        "linear", "how a patch becomes a token: one linear map, or stride-2 convolutions", choices=("linear", "conv")
    )
    width: int = option(768, "token width", ge=8, le=4096)
    depth: int = option(12, "blocks", ge=1, le=64)
    heads: int = option(12, "attention heads", ge=1, le=64)
    mlp_ratio: float = option(4.0, "hidden width of the MLP / token width", gt=0, le=16)
    pixels: str = option(
        "clip",
        "mean and deviation that pixels are normalised by: 0.5 and 0.5, or those of CLIP, which ALBEF's weights expect",
        choices=("half", "clip"),
    )


@dataclass(frozen=True)
class Text:
    """BERT-style text transformer; its last `fusion_depth` layers also attend to the image tokens."""

    width: int = option(768, "token width", ge=8, le=4096)
    depth: int = option(6, "text-only layers", ge=1, le=64)
    fusion_depth: int = option(6, "layers with cross-attention to the image", ge=1, le=64)
    heads: int = option(12, "attention heads", ge=1, le=64)
    mlp_ratio: float = option(4.0, "hidden width of the MLP / token width", gt=0, le=16)
    dropout: float = option(0.1, "dropout in the text layers", ge=0, lt=1)


@dataclass(frozen=True)
class Compute:
    """How the encoders are computed. Embeddings, similarities and losses stay in float32."""

    precision: str = option(
        "fp32", "arithmetic of the encoders: float32, or bfloat16 autocast", choices=("fp32", "bf16")
    )
    checkpointing: bool = option(False, "recompute each layer in the backward pass: less memory, a third more time")
    compile: bool = option(False, "torch.compile each layer: slow first steps, quicker ones after")


@dataclass(frozen=True)
class Albef(BackboneConfig):
    """ALBEF: image, text and fusion encoders, projections to the joint space, matching head and MLM head."""

    kind: ClassVar[str] = "albef"
    weights_are_a_file: ClassVar[bool] = True
    vision: Vision = section(Vision, "image encoder")
    text: Text = section(Text, "text and fusion encoder")
    embed_dim: int = option(256, "d: width of the joint embedding", ge=4, le=4096)
    compute: Compute = section(Compute, "how it is computed")
    tau: float = option(0.07, "initial temperature, learned", gt=0, le=1)
    weights: str = option("", "an ALBEF checkpoint (.pth or .safetensors) to start from; empty: random weights")
    strict: bool = option(True, "refuse a checkpoint with missing, unexpected or misshapen weights, or load the rest")
    positions: str = option(
        "bicubic", "how its position embeddings are resized to other images", choices=("bicubic", "bilinear")
    )

    def problems(self, config: Any) -> Iterator[str]:
        patch = self.vision.patch
        if self.vision.stem == "conv" and patch & (patch - 1):
            yield f"backbone.vision.patch: {patch} is outside its limit: a power of 2 where backbone.vision.stem = conv"
        yield from _patch_problems("backbone.vision.patch", patch, config.data)
        yield from _head_problems({"vision": self.vision, "text": self.text})
        if self.weights and self.vision.stem != "linear":
            yield "backbone.vision.stem: 'conv' is outside its limit: 'linear' where backbone.weights is given"


@dataclass(frozen=True)
class Tower:
    """An encoder of CLIP or BLIP; read only where weights are random."""

    width: int = option(64, "token width", ge=8, le=4096)
    depth: int = option(3, "layers", ge=1, le=64)
    heads: int = option(2, "attention heads", ge=1, le=64)
    mlp_ratio: float = option(4.0, "hidden width of the MLP / token width", gt=0, le=16)


@dataclass(frozen=True)
class HubBackbone(BackboneConfig):
    """Fields that the models of transformers share. With `weights`, the sizes are the checkpoint's."""

    weights: str = option("", "local folder or hub name; empty: random weights")
    patch: int = option(8, "side of a square patch", unit="pixels", ge=2, le=64)
    vision: Tower = section(Tower, "image encoder")
    text: Tower = section(Tower, "text encoder")
    embed_dim: int = option(96, "d: width of the joint embedding", ge=4, le=4096)
    compute: Compute = section(Compute, "how it is computed")

    def problems(self, config: Any) -> Iterator[str]:
        if not self.weights:
            yield from _patch_problems("backbone.patch", self.patch, config.data)
            yield from _head_problems({"vision": self.vision, "text": self.text})


@dataclass(frozen=True)
class Blip(HubBackbone):
    """BLIP's image-text-retrieval model of transformers: no MLM head. Sizes are the checkpoint's, if there is one."""

    kind: ClassVar[str] = "blip"
    weights: str = option("", "local folder or hub name (Salesforce/blip-itm-base-coco); empty: random weights")
    tau: float = option(0.07, "initial temperature, learned; a checkpoint has none", gt=0, le=1)


@dataclass(frozen=True)
class Clip(HubBackbone):
    """CLIP of transformers: no fusion encoder, no MLM head. Sizes are the checkpoint's, if there is one."""

    kind: ClassVar[str] = "clip"
    weights: str = option("", "local folder or hub name (openai/clip-vit-base-patch16); empty: random weights")
    fusion_depth: int = option(1, "layers of a fusion head on top, from random weights; 0: no matching", ge=0, le=64)
    tau: float = option(0.07, "initial temperature, learned; a checkpoint has its own", gt=0, le=1)

    @property
    def has_fusion(self) -> bool:
        return self.fusion_depth > 0


def _patch_problems(path: str, patch: int, data: Data) -> Iterator[str]:
    for axis, size in (("height", data.height), ("width", data.width)):
        if size % patch:
            yield f"data.{axis}: {size} is not a multiple of {path} = {patch}"


def _head_problems(encoders: Mapping[str, Vision | Text | Tower]) -> Iterator[str]:
    for name, sizes in encoders.items():
        if sizes.width % sizes.heads:
            yield f"backbone.{name}.width: {sizes.width} is not a multiple of backbone.{name}.heads = {sizes.heads}"

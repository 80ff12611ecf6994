"""Backbones of the retriever: image, text and fusion encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from gckd.config.component import BackboneConfig
from gckd.config.data import Data
from gckd.config.fields import option, section


@dataclass(frozen=True)
class Vision:
    """Vision transformer (pre-norm, class token). The defaults are ALBEF's ViT-B/16."""

    patch: int = option(16, "side of a square patch", unit="pixels", ge=2, le=64)
    stem: str = option(
        "linear",
        "map from a patch to a token: one linear layer, or convolutions of stride 2",
        choices=("linear", "conv"),
    )
    width: int = option(768, "token width", ge=8, le=4096)
    depth: int = option(12, "blocks", ge=1, le=64)
    heads: int = option(12, "attention heads", ge=1, le=64)
    mlp_ratio: float = option(4.0, "hidden width of the MLP, as a multiple of the token width", gt=0, le=16)
    pixels: str = option(
        "clip",
        "mean and standard deviation of pixels: 0.5 and 0.5, or those of CLIP, which ALBEF's weights expect",
        choices=("half", "clip"),
    )


@dataclass(frozen=True)
class Text:
    """BERT-style text transformer; the last `fusion_depth` layers attend to the image. The defaults are ALBEF's."""

    width: int = option(768, "token width", ge=8, le=4096)
    depth: int = option(6, "layers that read text alone", ge=1, le=64)
    fusion_depth: int = option(6, "layers with cross-attention to the image", ge=1, le=64)
    heads: int = option(12, "attention heads", ge=1, le=64)
    mlp_ratio: float = option(4.0, "hidden width of the MLP, as a multiple of the token width", gt=0, le=16)
    dropout: float = option(0.1, "dropout in the text layers", ge=0, lt=1)


@dataclass(frozen=True)
class Compute:
    """Precision and memory use of the encoders. Embeddings, similarities and losses stay in float32."""

    precision: str = option("fp32", "float32, or bfloat16 autocast", choices=("fp32", "bf16"))
    checkpointing: bool = option(
        False, "recompute each layer in the backward pass: less memory, about a third more time"
    )
    compile: bool = option(False, "torch.compile each layer: slow first steps, faster steps afterwards")


@dataclass(frozen=True)
class Albef(BackboneConfig):
    """ALBEF: image, text and fusion encoder, projections to the joint space, matching head and MLM head."""

    kind: ClassVar[str] = "albef"
    weights_are_a_file: ClassVar[bool] = True
    has_mlm_head: ClassVar[bool] = True
    vision: Vision = section(Vision, "image encoder")
    text: Text = section(Text, "text and fusion encoder")
    embed_dim: int = option(256, "d: width of the joint embedding", ge=4, le=4096)
    compute: Compute = section(Compute, "precision and memory use")
    tau: float = option(0.07, "tau: initial temperature; it is learned", gt=0, le=1)
    weights: str = option("", "ALBEF checkpoint (.pth or .safetensors) to start from; empty: random weights")
    strict: bool = option(
        True, "refuse a checkpoint with missing or unexpected weights or wrong shapes; off: load the others"
    )
    positions: str = option(
        "bicubic", "interpolation of position embeddings for images of another size", choices=("bicubic", "bilinear")
    )

    @property
    def caption_form(self) -> str:
        return "albef" if self.weights else "written"

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
    """Encoder of CLIP or BLIP. Used only with random weights; a checkpoint has its own sizes."""

    width: int = option(64, "token width", ge=8, le=4096)
    depth: int = option(3, "layers", ge=1, le=64)
    heads: int = option(2, "attention heads", ge=1, le=64)
    mlp_ratio: float = option(4.0, "hidden width of the MLP, as a multiple of the token width", gt=0, le=16)


@dataclass(frozen=True)
class HubBackbone(BackboneConfig):
    """Model of the transformers library. The default sizes are small ones; a checkpoint has its own."""

    weights: str = option("", "local folder or hub name; empty: random weights")
    patch: int = option(8, "side of a square patch", unit="pixels", ge=2, le=64)
    vision: Tower = section(Tower, "image encoder")
    text: Tower = section(Tower, "text encoder")
    embed_dim: int = option(96, "d: width of the joint embedding", ge=4, le=4096)
    compute: Compute = section(Compute, "precision and memory use")

    def problems(self, config: Any) -> Iterator[str]:
        if not self.weights:
            yield from _patch_problems("backbone.patch", self.patch, config.data)
            yield from _head_problems({"vision": self.vision, "text": self.text})


@dataclass(frozen=True)
class Blip(HubBackbone):
    """BLIP for image-text retrieval, of the transformers library. It has no MLM head."""

    kind: ClassVar[str] = "blip"
    weights: str = option("", "local folder or hub name (Salesforce/blip-itm-base-coco); empty: random weights")
    tau: float = option(0.07, "tau: initial temperature; it is learned, and a checkpoint has none", gt=0, le=1)


@dataclass(frozen=True)
class Clip(HubBackbone):
    """CLIP of the transformers library. It has no fusion encoder of its own and no MLM head."""

    kind: ClassVar[str] = "clip"
    weights: str = option("", "local folder or hub name (openai/clip-vit-base-patch16); empty: random weights")
    fusion_depth: int = option(
        1, "layers of a fusion encoder on top, from random weights; 0: none, so no matching", ge=0, le=64
    )
    tau: float = option(0.07, "tau: initial temperature; it is learned, and a checkpoint has its own", gt=0, le=1)

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

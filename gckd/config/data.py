"""Which datasets, and how an example reaches the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gckd.config.component import AugmentationConfig, TokenizerConfig
from gckd.config.fields import option


@dataclass(frozen=True)
class Data:
    """Which datasets, and how an example reaches the model."""

    source: str = option("", "labelled source dataset: a folder, FORMAT:FOLDER, or a store (s3://BUCKET/NAME)")
    target: str = option("", "unlabelled target dataset: a folder, FORMAT:FOLDER, or a store (s3://BUCKET/NAME)")
    height: int = option(384, "image height after resizing", unit="pixels", ge=8, le=1024)
    width: int = option(384, "image width after resizing", unit="pixels", ge=8, le=1024)
    max_words: int = option(50, "captions are cut after this many words", unit="words", ge=1, le=512)
    max_tokens: int = option(64, "and after this many tokens, [CLS] and [SEP] included", unit="tokens", ge=4, le=512)
    skip_broken: bool = option(False, "leave out images that cannot be read (and count them) instead of stopping")


@dataclass(frozen=True)
class TrainedTokenizer(TokenizerConfig):
    """WordPiece vocabulary trained on the train captions of both domains (texts only, no pairing)."""

    kind: ClassVar[str] = "trained"
    vocab_size: int = option(1500, "at most this many word pieces", unit="tokens", ge=32, le=200_000)
    unseen: str = option(
        "mask",
        "what a word that the source never showed means when adaptation starts: what [MASK] means, or what its random "
        "initial weights happen to mean",
        choices=("mask", "keep"),
    )

    @property
    def masks_unseen(self) -> bool:
        return self.unseen == "mask"


@dataclass(frozen=True)
class FolderTokenizer(TokenizerConfig):
    """A pretrained tokenizer (bert-base-uncased layout) from a folder or hub name."""

    kind: ClassVar[str] = "pretrained"
    name: str = option("bert-base-uncased", "local folder or hub name")

    @property
    def pretrained(self) -> str:
        return self.name


@dataclass(frozen=True)
class Augment(AugmentationConfig):
    """Domain randomisation, for backbones from random weights on few images. Each strength 0 turns its part off."""

    kind: ClassVar[str] = "domain"
    channel_gain: float = option(0.25, "each colour channel is scaled by exp(uniform(-g, g))", ge=0, le=2)
    brightness: float = option(0.15, "an offset of uniform(-b, b) is added to all channels", ge=0, le=1)
    contrast: float = option(0.25, "contrast about the image mean is scaled by exp(uniform(-c, c))", ge=0, le=2)
    noise: float = option(0.05, "standard deviation of pixel noise, drawn per image in [0, n]", ge=0, le=1)
    blur: float = option(0.3, "share of images that are blurred (3 x 3 binomial)", ge=0, le=1)
    shift: float = option(0.08, "largest translation, as a share of height and width", ge=0, le=0.5)
    flip: bool = option(True, "mirror half of the images")
    erase: float = option(0.3, "share of images with one rectangle erased (random erasing)", ge=0, le=1)
    word_dropout: float = option(0.1, "share of caption tokens replaced by [MASK]", ge=0, lt=1)


@dataclass(frozen=True)
class RandAugment(AugmentationConfig):
    """RandAugment with the operations of ALBEF's fine-tuning, for pretrained backbones."""

    kind: ClassVar[str] = "randaugment"
    operations: int = option(2, "operations in a row, drawn for every few images", ge=1, le=9)
    magnitude: float = option(0.7, "strength of each, as a share of its largest", gt=0, lt=1)
    flip: bool = option(True, "mirror half of the images")
    erase: float = option(0.0, "share of images with one rectangle erased (random erasing)", ge=0, le=1)
    word_dropout: float = option(0.0, "share of caption tokens replaced by [MASK]", ge=0, lt=1)

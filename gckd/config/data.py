"""Datasets, tokenizer and augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gckd.config.component import AugmentationConfig, TokenizerConfig
from gckd.config.fields import option


@dataclass(frozen=True)
class Data:
    """Datasets, and the sizes of images and captions."""

    source: str = option("", "labelled source dataset: FOLDER, FORMAT:FOLDER, or a store (s3://BUCKET/NAME)")
    target: str = option("", "unlabelled target dataset: FOLDER, FORMAT:FOLDER, or a store (s3://BUCKET/NAME)")
    height: int = option(384, "image height after resizing", unit="pixels", ge=8, le=1024)
    width: int = option(384, "image width after resizing", unit="pixels", ge=8, le=1024)
    max_words: int = option(50, "longest caption; the rest is cut off", unit="words", ge=1, le=512)
    max_tokens: int = option(
        64, "longest caption with [CLS] and [SEP]; the rest is cut off", unit="tokens", ge=4, le=512
    )
    caption_form: str = option(
        "auto",
        "captions as written, or as ALBEF was trained on: lower case, no punctuation, spaces for - and /; "
        "auto: albef with weights of ALBEF, else written",
        choices=("auto", "written", "albef"),
    )
    skip_broken: bool = option(False, "leave out and count images that cannot be read, instead of stopping")


@dataclass(frozen=True)
class TrainedTokenizer(TokenizerConfig):
    """WordPiece vocabulary trained on the train captions of both domains, without their images."""

    kind: ClassVar[str] = "trained"
    vocab_size: int = option(1500, "largest number of word pieces", unit="tokens", ge=32, le=200_000)
    unseen: str = option(
        "mask",
        "first embedding in adaptation of words that no source caption holds: that of [MASK], or the random one",
        choices=("mask", "keep"),
    )

    @property
    def masks_unseen(self) -> bool:
        return self.unseen == "mask"


@dataclass(frozen=True)
class PretrainedTokenizer(TokenizerConfig):
    """Pretrained tokenizer in the layout of bert-base-uncased."""

    kind: ClassVar[str] = "pretrained"
    name: str = option("bert-base-uncased", "local folder or hub name")

    @property
    def pretrained(self) -> str:
        return self.name


@dataclass(frozen=True)
class Augment(AugmentationConfig):
    """Domain randomisation, for training from random weights on few images. A strength of 0 turns a part off."""

    kind: ClassVar[str] = "domain"
    channel_gain: float = option(0.25, "g: each colour channel is multiplied by exp(uniform(-g, g))", ge=0, le=2)
    brightness: float = option(0.15, "b: uniform(-b, b) is added to all channels", ge=0, le=1)
    contrast: float = option(0.25, "c: contrast about the image mean is multiplied by exp(uniform(-c, c))", ge=0, le=2)
    noise: float = option(0.05, "n: standard deviation of pixel noise, drawn for each image from [0, n]", ge=0, le=1)
    blur: float = option(0.3, "share of images that are blurred (3 x 3 binomial filter)", ge=0, le=1)
    shift: float = option(0.08, "largest translation, as a share of height and width", ge=0, le=0.5)
    flip: bool = option(True, "mirror half of the images")
    erase: float = option(0.3, "share of images with one random rectangle erased", ge=0, le=1)
    word_dropout: float = option(0.1, "share of caption tokens replaced by [MASK]", ge=0, lt=1)


@dataclass(frozen=True)
class RandAugment(AugmentationConfig):
    """RandAugment with the operations of ALBEF's fine-tuning, for pretrained backbones."""

    kind: ClassVar[str] = "randaugment"
    operations: int = option(2, "operations in a row, drawn anew for every four images", ge=1, le=9)
    magnitude: float = option(0.7, "strength of each operation, as a share of its largest", gt=0, lt=1)
    flip: bool = option(True, "mirror half of the images")
    erase: float = option(0.0, "share of images with one random rectangle erased", ge=0, le=1)
    word_dropout: float = option(0.0, "share of caption tokens replaced by [MASK]", ge=0, lt=1)

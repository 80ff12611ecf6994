"""Records, batches and evaluation sets. The target's types have no field for identities or for the pairing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

SPLITS = ("train", "val", "test")

ItemProgress = Callable[[int, int], None]  # (items done, items in total)
DatasetProgress = Callable[[str, int, int], None]  # (name of the dataset, images done, images in total)


@dataclass(frozen=True)
class Record:
    """One image of a dataset, as its annotation file describes it."""

    image: str  # path relative to the image folder, with forward slashes
    captions: tuple[str, ...]
    identity: int  # 64-bit
    split: str  # one of SPLITS


@dataclass(frozen=True)
class SplitCounts:
    """Size of one split; `captions` is None where no publication states it."""

    images: int
    identities: int
    captions: int | None = None


@dataclass(frozen=True)
class Annotations:
    """All records of one dataset on disk. No image has been opened yet."""

    format: str  # a name in `gckd.data.readers.READERS`, for example "cuhk-pedes"
    name: str  # last two parts of its folder
    folder: Path  # finds the dataset again as FORMAT:FOLDER
    file: Path  # the annotation file; the first of them where each split has its own
    images: Path  # the image folder
    records: tuple[Record, ...]
    notes: tuple[str, ...] = ()  # printed below result tables, for example that val was held out of train


class Vocabulary(NamedTuple):
    """Properties of a tokenizer that a backbone needs."""

    size: int  # number of token ids
    end: int  # id of the token that ends a caption


class SourceBatch(NamedTuple):
    """Labelled batch: image i of the batch and row i of `tokens` belong to `identities[i]`."""

    images: torch.Tensor  # [b, 3, H, W] uint8, this worker's rows of the batch
    tokens: torch.Tensor  # [B, L] int64, 0 = padding
    identities: torch.Tensor  # [B] int64
    image_rows: torch.Tensor  # [B] int64, row of the image in its split
    caption_rows: torch.Tensor  # [B] int64, row of the caption in its split

    @property
    def size(self) -> int:
        """B, of all workers together."""
        return len(self.image_rows)


class TargetBatch(NamedTuple):
    """Unlabelled batch: images and captions are drawn independently, so row i of one does not describe row i of the
    other."""

    images: torch.Tensor  # [b, 3, H, W] uint8, this worker's rows of the batch
    tokens: torch.Tensor  # [B, L] int64, 0 = padding
    image_rows: torch.Tensor  # [B] int64, row of the image in its split
    caption_rows: torch.Tensor  # [B] int64, row of the caption in its split

    @property
    def size(self) -> int:
        """B, of all workers together."""
        return len(self.image_rows)


ROWS = ("image_rows", "caption_rows")  # fields of a batch that no GPU reads


@dataclass(frozen=True)
class EvaluationSet:
    """Labelled split for evaluation: every caption is a query, every image is in the gallery."""

    images: torch.Tensor  # [N, 3, H, W] uint8, memory-mapped where it comes from a store
    tokens: torch.Tensor  # [M, L] int64, 0 = padding
    image_identities: torch.Tensor  # [N] int64
    caption_identities: torch.Tensor  # [M] int64

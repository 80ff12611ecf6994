"""What datasets, stores and batches are made of. Target types have no field for identities or pairing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Record:
    """One image as a dataset's annotation file describes it."""

    image: str  # path relative to the image folder, forward slashes
    captions: tuple[str, ...]
    identity: int
    split: str


@dataclass(frozen=True)
class Annotations:
    """One dataset on disk, read but not yet checked image by image."""

    format: str  # "cuhk-pedes", "icfg-pedes" or "rstpreid"
    file: Path  # the annotation file
    images: Path  # the image folder
    records: tuple[Record, ...]
    notes: tuple[str, ...] = ()  # what a table must say, for example that val was held out of train


class Vocabulary(NamedTuple):
    """What a backbone must know of a tokenizer: how many ids there are, and which one ends a caption."""

    size: int
    end: int


class SourceBatch(NamedTuple):
    """A labelled batch: row i of `images` and `tokens` belongs to `identities[i]`."""

    images: torch.Tensor  # [B, 3, H, W] uint8
    tokens: torch.Tensor  # [B, L] int64, 0 = padding
    identities: torch.Tensor  # [B] int64
    image_rows: torch.Tensor  # [B] int64, position of the image in its split
    caption_rows: torch.Tensor  # [B] int64, position of the caption in its split


class TargetBatch(NamedTuple):
    """An unlabelled batch: images and captions are drawn independently, so rows do not correspond."""

    images: torch.Tensor  # [B, 3, H, W] uint8
    tokens: torch.Tensor  # [B, L] int64, 0 = padding
    image_rows: torch.Tensor  # [B] int64, position of the image in its split
    caption_rows: torch.Tensor  # [B] int64, position of the caption in its split


@dataclass(frozen=True)
class EvaluationSet:
    """A labelled split for evaluation: every caption is a query, every image is in the gallery."""

    images: torch.Tensor  # [N, 3, H, W] uint8 (may be memory-mapped)
    tokens: torch.Tensor  # [M, L] int64
    image_identities: torch.Tensor  # [N] int64
    caption_identities: torch.Tensor  # [M] int64

"""What a step is fed: batches and the student's views of them, each a pure function of (seed, step)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from gckd.config.component import AugmentationConfig
from gckd.data.loaders import TargetLoader
from gckd.data.tokenizer import Tokenizer
from gckd.data.transforms import drop_words, strong_view
from gckd.data.types import SourceBatch
from gckd.distributed import local_rows
from gckd.seeding import generator


@dataclass(frozen=True)
class Views:
    """This worker's rows of a batch as the student sees them."""

    images: Tensor  # [b, 3, H, W] float32
    tokens: Tensor  # [b, L] int64


class Source(Protocol):
    """What training may ask of the labelled source; `gckd.data.loaders.SourceLoader` says what each is."""

    @property
    def words(self) -> Tensor: ...
    @property
    def image_count(self) -> int: ...
    @property
    def caption_count(self) -> int: ...
    @property
    def steps_per_epoch(self) -> int: ...

    def batch(self, step: int, /) -> SourceBatch: ...

    def images_at(self, rows: Tensor, /) -> Tensor: ...

    def tokens_at(self, rows: Tensor, /) -> Tensor: ...

    def identities_at(self, rows: Tensor, kind: str, /) -> Tensor: ...


@dataclass(frozen=True)
class Feed:
    """Both domains and the vocabulary; target labels are not in reach."""

    source: Source
    target: TargetLoader
    tokenizer: Tokenizer
    augment: AugmentationConfig
    seed: int

    def views(self, images: Tensor, tokens: Tensor, stream: str, step: int) -> Views:
        """The strong view of uint8 images [B, 3, H, W] and token ids [B, L], drawn for the whole batch."""
        random = generator(self.seed, stream, step)
        strong = strong_view(images, self.augment, random)
        words = drop_words(tokens, self.augment.word_dropout, self.tokenizer.mask, self.tokenizer.first_word, random)
        return Views(local_rows(strong), local_rows(words))

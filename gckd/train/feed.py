"""What a step is fed: batches and the student's views of them, each a pure function of (seed, step)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gckd.config.data import Augment, RandAugment
from gckd.data.augment import drop_words, strong_view
from gckd.data.loaders import SourceLoader, TargetLoader
from gckd.data.tokenizer import Tokenizer
from gckd.train.randomness import generator
from gckd.train.workers import mine


@dataclass(frozen=True)
class Views:
    """This worker's rows of a batch as the student sees them."""

    images: Tensor  # [b, 3, H, W] float32
    tokens: Tensor  # [b, L] int64


@dataclass(frozen=True)
class Feed:
    """Loaders of both domains and the vocabulary; target labels are not in reach."""

    source: SourceLoader
    target: TargetLoader
    tokenizer: Tokenizer
    augment: Augment | RandAugment
    seed: int

    def views(self, images: Tensor, tokens: Tensor, stream: str, step: int) -> Views:
        """The strong view of uint8 images [B, 3, H, W] and token ids [B, L], drawn for the whole batch."""
        random = generator(self.seed, stream, step)
        strong = strong_view(images, self.augment, random)
        words = drop_words(tokens, self.augment.word_dropout, self.tokenizer.mask, self.tokenizer.first_word, random)
        return Views(mine(strong), mine(words))

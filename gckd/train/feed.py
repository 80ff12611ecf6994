"""What a step is fed: batches and their clean and strong views, each a pure function of (seed, step)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gckd.config.data import Augment, RandAugment
from gckd.data.augment import clean_view, drop_words, strong_view
from gckd.data.loaders import SourceLoader, TargetLoader
from gckd.data.tokenizer import Tokenizer
from gckd.train.randomness import generator


@dataclass(frozen=True)
class Views:
    """One domain's examples as the teacher (clean) and the student (strong) see them."""

    clean_images: Tensor  # [B, 3, H, W] float32
    images: Tensor  # [B, 3, H, W] float32, strong
    clean_tokens: Tensor  # [B, L] int64
    tokens: Tensor  # [B, L] int64, strong


@dataclass(frozen=True)
class Feed:
    """Loaders of both domains and the vocabulary; target labels are not in reach."""

    source: SourceLoader
    target: TargetLoader
    tokenizer: Tokenizer
    augment: Augment | RandAugment
    seed: int

    def views(self, images: Tensor, tokens: Tensor, stream: str, step: int) -> Views:
        """Both views of uint8 images [B, 3, H, W] and token ids [B, L]."""
        random = generator(self.seed, stream, step)
        strong = strong_view(images, self.augment, random)
        words = drop_words(tokens, self.augment.word_dropout, self.tokenizer.mask, self.tokenizer.first_word, random)
        return Views(clean_view(images), strong, tokens, words)

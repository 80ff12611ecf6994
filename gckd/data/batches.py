"""Input of a training step: batches of both domains, and the student's views of them.

Every batch and every view is a function of the seed and the step alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
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
    """The student's views of this worker's b of the B rows of a batch."""

    images: Tensor  # [b, 3, H, W] float32
    tokens: Tensor  # [b, L] int64


class Source(Protocol):
    """Labelled source data for training. `gckd.data.loaders.SourceLoader` documents each member."""

    @property
    def words(self) -> Tensor: ...
    @property
    def image_count(self) -> int: ...
    @property
    def caption_count(self) -> int: ...
    @property
    def steps_per_epoch(self) -> int: ...

    def batch(self, step: int, /) -> SourceBatch: ...

    def prefetching(self) -> AbstractContextManager[None]: ...

    def images_at(self, rows: Tensor, /) -> Tensor: ...

    def tokens_at(self, rows: Tensor, /) -> Tensor: ...

    def identities_at(self, rows: Tensor, kind: str, /) -> Tensor: ...


@dataclass(frozen=True)
class Feed:
    """Training data of both domains and the tokenizer. It has no path to the target's labels."""

    source: Source
    target: TargetLoader
    tokenizer: Tokenizer
    augment: AugmentationConfig
    seed: int

    @contextlib.contextmanager
    def prefetching(self) -> Iterator[None]:
        """Context in which threads load the batches of the next step during the current one."""
        with self.source.prefetching(), self.target.prefetching():
            yield

    def views(self, images: Tensor, tokens: Tensor, stream: str, step: int) -> Views:
        """The student's views of a batch.

        Random numbers are drawn for the whole batch, so that a view does not depend on the number of workers.

        Args:
            images: [b, 3, H, W] uint8, this worker's rows.
            tokens: [B, L] int64.
            stream: name of the random stream; different streams give different views of the same batch.
            step: optimiser step, from 0.

        Returns:
            The strong view of the images, and this worker's rows of the tokens with words masked.
        """
        random = generator(self.seed, stream, step)
        strong = strong_view(images, self.augment, random, len(tokens))
        words = drop_words(tokens, self.augment.word_dropout, self.tokenizer.mask, self.tokenizer.first_word, random)
        return Views(strong, local_rows(words))

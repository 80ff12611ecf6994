"""Seeded batches. `batch(step)` depends on seed and step alone, so a resumed run needs no loader state.

Pixels come from the decoded memory map and tokens from one array made at construction: a batch is two gathers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gckd.data.splits import LabelledSplit, UnlabelledSplit
from gckd.data.tokenizer import Tokenizer
from gckd.data.types import EvaluationSet, SourceBatch, TargetBatch
from gckd.errors import InputError

Rows = NDArray[np.int64]

# One random stream for each purpose, so that no draw depends on another.
_SOURCE_IMAGES, _SOURCE_CAPTIONS, _TARGET_IMAGES, _TARGET_CAPTIONS, _SOURCE_GROUPS = range(5)


class _Pool:
    """Images `[N, 3, H, W]` uint8 and tokens `[M, L]` of a split, gathered by row."""

    def __init__(self, split: LabelledSplit | UnlabelledSplit, tokenizer: Tokenizer, height: int, width: int) -> None:
        self.pixels = split.images.decoded(height, width)
        self.ids = tokenizer.encode(split.captions).numpy()
        # To the last token: an id of 0 within a caption is a word of CLIP's.
        self.lengths = self.ids.shape[1] - (self.ids[:, ::-1] != tokenizer.pad).argmax(axis=1)

    def images(self, rows: Rows) -> torch.Tensor:
        return _tensor(self.pixels[rows])

    def tokens(self, rows: Rows) -> torch.Tensor:
        longest = int(self.lengths[rows].max())
        return _tensor(self.ids[rows, :longest])


class _Loader:
    """What both loaders share: sizes, and single rows for warming up memory banks."""

    def __init__(self, pool: _Pool, batch: int, seed: int) -> None:
        self._pool, self._batch, self._seed = pool, batch, seed
        self.image_count, self.caption_count = len(pool.pixels), len(pool.ids)
        self.words = _tensor(np.unique(pool.ids))  # token ids that occur in the split's captions

    def images_at(self, rows: torch.Tensor) -> torch.Tensor:
        """Images [b, 3, H, W] uint8 at rows [b] of the split."""
        return self._pool.images(rows.cpu().numpy())

    def tokens_at(self, rows: torch.Tensor) -> torch.Tensor:
        """Tokens [b, L] int64 of the captions at rows [b] of the split, cut to the longest of them."""
        return self._pool.tokens(rows.cpu().numpy())

    def _require(self, count: int, what: str) -> None:
        if self._batch > count:
            raise InputError(f"batch: {self._batch} is larger than the dataset's train split: {count} {what}")


class SourceLoader(_Loader):
    """Labelled batches: an epoch is a permutation of the images, each with one of its captions at random.

    Images come in groups of up to `per_identity` of one identity, so that a batch has positives within a modality.
    """

    def __init__(
        self,
        split: LabelledSplit,
        tokenizer: Tokenizer,
        *,
        height: int,
        width: int,
        batch: int,
        seed: int,
        per_identity: int = 1,
    ) -> None:
        super().__init__(_Pool(split, tokenizer, height, width), batch, seed)
        self._image_identities = np.array(split.image_identities)
        self._caption_identities = np.array(split.caption_identities)
        # Captions grouped by image: those of image i are by_image[first[i] : first[i] + many[i]].
        self._by_image = np.argsort(split.caption_image, kind="stable")
        self._many = np.bincount(split.caption_image, minlength=self.image_count)
        self._first = np.cumsum(self._many) - self._many
        self._drawable = np.flatnonzero(self._many)  # an image without captions is no pair
        self._require(len(self._drawable), "images with captions")
        self.steps_per_epoch = len(self._drawable) // batch
        self._per_identity = per_identity
        self._epoch = lru_cache(maxsize=2)(self._draw_epoch)

    def batch(self, step: int) -> SourceBatch:
        """The batch of optimiser step `step` (from 0)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        images, captions = self._epoch(epoch)
        part = slice(place * self._batch, (place + 1) * self._batch)
        images, captions = images[part], captions[part]
        return SourceBatch(
            images=self._pool.images(images),
            tokens=self._pool.tokens(captions),
            identities=_tensor(self._image_identities[images]),
            image_rows=_tensor(images),
            caption_rows=_tensor(captions),
        )

    def _draw_epoch(self, epoch: int) -> tuple[Rows, Rows]:
        images = _stream(self._seed, _SOURCE_IMAGES, epoch).permutation(self._drawable)
        if self._per_identity > 1:
            groups = _stream(self._seed, _SOURCE_GROUPS, epoch)
            images = _grouped(images, self._image_identities[images], self._per_identity, groups)
        which = _stream(self._seed, _SOURCE_CAPTIONS, epoch).integers(self._many[images])
        return images, self._by_image[self._first[images] + which]

    def identities_at(self, rows: torch.Tensor, kind: str) -> torch.Tensor:
        """Identities [b] of the images or captions (`kind`: "image" or "caption") at rows [b]."""
        identities = {"image": self._image_identities, "caption": self._caption_identities}[kind]
        return _tensor(identities[rows.cpu().numpy()])


class TargetLoader(_Loader):
    """Unlabelled batches: permutations of the images and, independently, of the captions."""

    def __init__(
        self, split: UnlabelledSplit, tokenizer: Tokenizer, *, height: int, width: int, batch: int, seed: int
    ) -> None:
        super().__init__(_Pool(split, tokenizer, height, width), batch, seed)
        self._require(self.image_count, "images")
        self._require(self.caption_count, "captions")
        self.steps_per_epoch = self.image_count // batch
        self._epoch = lru_cache(maxsize=4)(self._draw_epoch)

    def batch(self, step: int) -> TargetBatch:
        """The batch of optimiser step `step` (from 0). Row i of the images does not belong to row i of the tokens."""
        images = self._rows(step, _TARGET_IMAGES, self.image_count)
        captions = self._rows(step, _TARGET_CAPTIONS, self.caption_count)
        return TargetBatch(
            images=self._pool.images(images),
            tokens=self._pool.tokens(captions),
            image_rows=_tensor(images),
            caption_rows=_tensor(captions),
        )

    def _rows(self, step: int, purpose: int, count: int) -> Rows:
        epoch, place = divmod(step, count // self._batch)
        return self._epoch(purpose, count, epoch)[place * self._batch : (place + 1) * self._batch]

    def _draw_epoch(self, purpose: int, count: int, epoch: int) -> Rows:
        return _stream(self._seed, purpose, epoch).permutation(count)


def evaluation_set(split: LabelledSplit, tokenizer: Tokenizer, height: int, width: int) -> EvaluationSet:
    """A labelled split for evaluation; its images stay in the memory map."""
    return EvaluationSet(
        images=torch.from_numpy(split.images.decoded(height, width)),
        tokens=tokenizer.encode(split.captions).to(torch.get_default_device()),
        image_identities=_tensor(split.image_identities),
        caption_identities=_tensor(split.caption_identities),
    )


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    """A copy as a tensor on the default device."""
    return torch.from_numpy(np.array(array)).to(torch.get_default_device())


def _grouped(images: Rows, identities: Rows, size: int, random: np.random.Generator) -> Rows:
    """The images [N] in random order, but with up to `size` of one identity in a row; the order within stays."""
    order = np.argsort(identities, kind="stable")
    _, start, counts = np.unique(identities[order], return_index=True, return_counts=True)
    place = np.arange(len(images)) - np.repeat(start, counts)
    group = np.repeat(np.arange(len(start)), counts) * len(images) + place // size
    names, member = np.unique(group, return_inverse=True)
    shuffled: Rows = images[order][np.argsort(random.permutation(len(names))[member], kind="stable")]
    return shuffled


def _stream(seed: int, purpose: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng([seed, purpose, epoch])

"""Loaders of seeded training batches.

`batch(step)` depends on the seed and the step alone, so a resumed run needs no loader state. Pixels are gathered from
the decoded memory map, tokens from one array made at construction. Inside `prefetching`, a thread does that for the
next step during the current one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Generic

import numpy as np
import torch
from numpy.typing import NDArray

from gckd.data.prefetch import Batch, Prefetcher, on_default_device
from gckd.data.splits import LabelledSplit, UnlabelledSplit
from gckd.data.tokenizer import Tokenizer
from gckd.data.types import EvaluationSet, SourceBatch, TargetBatch
from gckd.distributed import local_rows
from gckd.errors import InputError

Rows = NDArray[np.int64]

# Random streams by purpose, so that no draw depends on another.
_SOURCE_IMAGES, _SOURCE_CAPTIONS, _TARGET_IMAGES, _TARGET_CAPTIONS, _SOURCE_GROUPS = range(5)


class _SplitArrays:
    """Images [N, 3, H, W] uint8 and tokens [M, L] int64 of a split, gathered by row as tensors on the CPU."""

    def __init__(self, split: LabelledSplit | UnlabelledSplit, tokenizer: Tokenizer, height: int, width: int) -> None:
        self.pixels = split.images.decoded(height, width)
        self.ids = tokenizer.encode(split.captions).numpy()
        # Length up to the last token that is not 0; within a caption, the id 0 is a word of CLIP.
        self.lengths = self.ids.shape[1] - (self.ids[:, ::-1] != tokenizer.pad).argmax(axis=1)

    def images(self, rows: Rows) -> torch.Tensor:
        return torch.from_numpy(self.pixels[rows])

    def local_images(self, rows: Rows) -> torch.Tensor:
        """This worker's rows of the images of a batch. No other image is read."""
        return self.images(local_rows(torch.from_numpy(rows)).numpy())

    def tokens(self, rows: Rows) -> torch.Tensor:
        longest = int(self.lengths[rows].max())
        return torch.from_numpy(self.ids[rows, :longest])


class _Loader(ABC, Generic[Batch]):
    """Common part of both loaders: sizes, batches by step, and access to single rows."""

    def __init__(self, arrays: _SplitArrays, batch: int, seed: int) -> None:
        self._arrays, self._batch, self._seed = arrays, batch, seed
        self.image_count, self.caption_count = len(arrays.pixels), len(arrays.ids)
        # Token ids that occur in the captions, int64, ascending.
        self.words = on_default_device(torch.from_numpy(np.unique(arrays.ids)))
        self._prefetcher = Prefetcher(self._load)

    def batch(self, step: int) -> Batch:
        """Batch of an optimiser step, counted from 0."""
        return self._prefetcher.batch(step)

    def prefetching(self) -> AbstractContextManager[None]:
        """Context in which a thread loads the batch of the next step during the current one."""
        return self._prefetcher.running()

    @abstractmethod
    def _load(self, step: int) -> Batch:
        """Batch of a step, on the CPU."""

    def images_at(self, rows: torch.Tensor) -> torch.Tensor:
        """Images [b, 3, H, W] uint8 at rows [b] of the split."""
        return on_default_device(self._arrays.images(rows.cpu().numpy()))

    def tokens_at(self, rows: torch.Tensor) -> torch.Tensor:
        """Tokens [b, L] int64 of the captions at rows [b] of the split; L is the length of the longest of them."""
        return on_default_device(self._arrays.tokens(rows.cpu().numpy()))

    def _require(self, count: int, unit: str) -> None:
        """Check that the split has enough items for one batch."""
        if self._batch > count:
            raise InputError(f"batch: {self._batch} is above its limit: {count} {unit} in the train split")


class SourceLoader(_Loader[SourceBatch]):
    """Loader of labelled batches: an epoch is a permutation of the images, each with one of its captions at random.

    Args:
        split: labelled split. Images without a caption are left out.
        tokenizer: turns captions into token ids.
        height, width: size of the images, in pixels.
        batch: B, number of pairs per batch.
        seed: seed of all draws.
        per_identity: up to this many images of one identity follow each other, so that a batch has positives within a
            modality.

    Raises:
        InputError: `batch` is larger than the number of images with captions.
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
        super().__init__(_SplitArrays(split, tokenizer, height, width), batch, seed)
        self._image_identities = np.array(split.image_identities)
        self._caption_identities = np.array(split.caption_identities)
        # Caption rows sorted by image; those of image i begin at first[i], and there are captions_per_image[i] of them.
        self._captions_by_image = np.argsort(split.caption_image, kind="stable")
        self._captions_per_image = np.bincount(split.caption_image, minlength=self.image_count)
        self._first = np.cumsum(self._captions_per_image) - self._captions_per_image
        self._with_captions = np.flatnonzero(self._captions_per_image)  # rows
        self._require(len(self._with_captions), "images with captions")
        self.steps_per_epoch = len(self._with_captions) // batch
        self._per_identity = per_identity
        self._epoch = lru_cache(maxsize=2)(self._draw_epoch)

    def _load(self, step: int) -> SourceBatch:
        epoch, position = divmod(step, self.steps_per_epoch)
        images, captions = self._epoch(epoch)
        part = slice(position * self._batch, (position + 1) * self._batch)
        images, captions = images[part], captions[part]
        return SourceBatch(
            images=self._arrays.local_images(images),
            tokens=self._arrays.tokens(captions),
            identities=torch.from_numpy(self._image_identities[images]),
            image_rows=torch.from_numpy(images.copy()),
            caption_rows=torch.from_numpy(captions.copy()),
        )

    def _draw_epoch(self, epoch: int) -> tuple[Rows, Rows]:
        images = _stream(self._seed, _SOURCE_IMAGES, epoch).permutation(self._with_captions)
        if self._per_identity > 1:
            groups = _stream(self._seed, _SOURCE_GROUPS, epoch)
            images = _grouped(images, self._image_identities[images], self._per_identity, groups)
        choice = _stream(self._seed, _SOURCE_CAPTIONS, epoch).integers(self._captions_per_image[images])
        return images, self._captions_by_image[self._first[images] + choice]

    def identities_at(self, rows: torch.Tensor, kind: str) -> torch.Tensor:
        """Identities [b] int64 of the items at rows [b]; `kind` is "image" or "caption"."""
        identities = {"image": self._image_identities, "caption": self._caption_identities}[kind]
        return on_default_device(torch.from_numpy(identities[rows.cpu().numpy()]))


class TargetLoader(_Loader[TargetBatch]):
    """Loader of unlabelled batches: an epoch is a permutation of the images or, independently, of the captions.

    Args:
        split: split without labels.
        tokenizer: turns captions into token ids.
        height, width: size of the images, in pixels.
        batch: B, number of images and of captions per batch.
        seed: seed of all draws.

    Raises:
        InputError: `batch` is larger than the number of images or of captions.
    """

    def __init__(
        self, split: UnlabelledSplit, tokenizer: Tokenizer, *, height: int, width: int, batch: int, seed: int
    ) -> None:
        super().__init__(_SplitArrays(split, tokenizer, height, width), batch, seed)
        self._require(self.image_count, "images")
        self._require(self.caption_count, "captions")
        self.steps_per_epoch = self.image_count // batch
        self._epoch = lru_cache(maxsize=4)(self._draw_epoch)

    def _load(self, step: int) -> TargetBatch:
        images = self._rows(step, _TARGET_IMAGES, self.image_count)
        captions = self._rows(step, _TARGET_CAPTIONS, self.caption_count)
        return TargetBatch(
            images=self._arrays.local_images(images),
            tokens=self._arrays.tokens(captions),
            image_rows=torch.from_numpy(images.copy()),
            caption_rows=torch.from_numpy(captions.copy()),
        )

    def _rows(self, step: int, purpose: int, count: int) -> Rows:
        epoch, position = divmod(step, count // self._batch)
        return self._epoch(purpose, count, epoch)[position * self._batch : (position + 1) * self._batch]

    def _draw_epoch(self, purpose: int, count: int, epoch: int) -> Rows:
        return _stream(self._seed, purpose, epoch).permutation(count)


def evaluation_set(split: LabelledSplit, tokenizer: Tokenizer, height: int, width: int) -> EvaluationSet:
    """Labelled split for evaluation, at `height` x `width` pixels. The images stay in the memory map."""
    return EvaluationSet(
        images=torch.from_numpy(split.images.decoded(height, width)),
        tokens=tokenizer.encode(split.captions).to(torch.get_default_device()),
        image_identities=torch.tensor(split.image_identities),
        caption_identities=torch.tensor(split.caption_identities),
    )


def _grouped(images: Rows, identities: Rows, size: int, random: np.random.Generator) -> Rows:
    """Image rows [N] in groups of up to `size` images of one identity; the order of the groups is random."""
    order = np.argsort(identities, kind="stable")
    _, start, counts = np.unique(identities[order], return_index=True, return_counts=True)
    position = np.arange(len(images)) - np.repeat(start, counts)
    group = np.repeat(np.arange(len(start)), counts) * len(images) + position // size
    names, member = np.unique(group, return_inverse=True)
    shuffled: Rows = images[order][np.argsort(random.permutation(len(names))[member], kind="stable")]
    return shuffled


def _stream(seed: int, purpose: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng([seed, purpose, epoch])

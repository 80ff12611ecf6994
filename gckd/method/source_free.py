"""Adaptation without source samples: the source model's embeddings in the place of the source dataset."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.data.loaders import SourceLoader
from gckd.distributed import map_batches
from gckd.method.banks import LabelledEmbeddings, PerBank, embed_clean
from gckd.method.step import CrossDomain, target_embeddings
from gckd.method.warm_start import BATCH, WarmStart
from gckd.models.base import Backbone
from gckd.storage.cache import CachePath
from gckd.storage.shared_file import create_once


@dataclass(frozen=True)
class SourceSummary:
    """Stands in for the source loader during adaptation: embeddings, but no images or captions.

    Args:
        images, texts: embeddings by the source model, which stay in the source banks throughout adaptation.
        words: token ids that occur in source captions.
    """

    images: LabelledEmbeddings
    texts: LabelledEmbeddings
    words: Tensor

    @property
    def image_count(self) -> int:
        return len(self.images.identities)

    @property
    def caption_count(self) -> int:
        return len(self.texts.identities)

    @property
    def steps_per_epoch(self) -> NoReturn:
        self._unavailable()

    def prefetching(self) -> AbstractContextManager[None]:
        """Context that loads nothing: there are no batches."""
        return nullcontext()

    def _unavailable(self, *_: object) -> NoReturn:
        raise RuntimeError("source samples are not available during adaptation unless adapt.source = samples")

    batch = images_at = tokens_at = identities_at = _unavailable


def summarise_source(kind: str, model: Backbone, source: Callable[[], SourceLoader], entry: CachePath) -> SourceSummary:
    """Summary of the source under `adapt.source` = `kind`: "banks", "prototypes" or "none".

    Args:
        model: with the source-trained weights.
        source: opens the source. Called only if the cache entry is missing: the embeddings belong to pre-training.
    """
    content: dict[str, Tensor] = create_once(entry, lambda: _embed_source(model, source()))
    tensors = {name: tensor.to(torch.get_default_device()) for name, tensor in content.items()}
    reduce = _REDUCTIONS[kind]
    return SourceSummary(
        reduce(LabelledEmbeddings(tensors["image"], tensors["image_identities"])),
        reduce(LabelledEmbeddings(tensors["text"], tensors["text_identities"])),
        tensors["words"],
    )


def prototypes(entries: LabelledEmbeddings) -> LabelledEmbeddings:
    """One entry per identity: the unit mean of its embeddings; identities in ascending order."""
    identities, which = entries.identities.unique(return_inverse=True)
    sums = entries.embeddings.new_zeros(len(identities), entries.embeddings.shape[1])
    return LabelledEmbeddings(F.normalize(sums.index_add(0, which, entries.embeddings), dim=-1), identities)


_REDUCTIONS: dict[str, Callable[[LabelledEmbeddings], LabelledEmbeddings]] = {
    "banks": lambda entries: entries,
    "prototypes": prototypes,
    "none": lambda entries: LabelledEmbeddings(entries.embeddings[:0], entries.identities[:0]),
}


def _embed_source(model: Backbone, source: SourceLoader) -> dict[str, Tensor]:
    """Embeddings and identities of all source examples, and the words of the captions."""
    images, texts = torch.arange(source.image_count), torch.arange(source.caption_count)
    content = {
        "image": map_batches(lambda rows: embed_clean(model, images=source.images_at(rows))[0], images.split(BATCH)),
        "text": map_batches(lambda rows: embed_clean(model, tokens=source.tokens_at(rows))[1], texts.split(BATCH)),
        "image_identities": source.identities_at(images, "image"),
        "text_identities": source.identities_at(texts, "caption"),
        "words": source.words,
    }
    return {name: tensor.cpu() for name, tensor in content.items()}


class SourceFree(CrossDomain):
    """Step of source-free adaptation (`adapt.source`): the target terms alone.

    The source banks hold the embeddings of the source model and never change.

    Differences from the paper: ours; the paper always has the source samples.
    """

    def warm_start(self, warm: WarmStart) -> None:
        parts = self.parts
        assert isinstance(parts.feed.source, SourceSummary)
        parts.banks.fill_source(parts.feed.source.images, parts.feed.source.texts, self.config.seed)
        parts.banks.warm_start_target(parts.teacher.model(), parts.feed.target, self.config.seed, warm)

    def terms(self, step: int) -> dict[str, Tensor]:
        parts, none = self.parts, torch.zeros(0, dtype=torch.long)
        target = parts.feed.target.batch(step)
        positions = PerBank(none, none, *parts.banks.push_target(parts.teacher.model(), target))
        space = parts.banks.space(self.config.centre, step)
        propagated = self.propagate(space.banks, positions, with_source=False)
        embedded = self.encode(target, "target", step)
        student = target_embeddings(embedded, target.size, space)
        terms = self.target_terms(embedded, student, propagated, space, positions, step)
        return terms | parts.selfsup(target, student, space.banks, positions, step)

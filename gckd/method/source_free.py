"""What a source-trained model hands on where the source's samples stay behind: embeddings, identities, known words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.data.loaders import SourceLoader
from gckd.distributed import map_batches
from gckd.method.banks import LabelledEmbeddings, PerBank, embed_clean
from gckd.method.step import CrossDomain, batch_embeddings
from gckd.method.warm_start import BATCH, WarmStart
from gckd.models.base import Backbone
from gckd.storage.cache import CachePath
from gckd.storage.checkpoint import load_checkpoint
from gckd.storage.shared_file import create_once


@dataclass(frozen=True)
class SourceSummary:
    """In the place of the source loader during adaptation; there is no way from here to an image or a caption.

    Args:
        words: token ids that occur in the source's captions.
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
        self._closed()

    def _closed(self, *_: object) -> NoReturn:
        raise RuntimeError("the source's samples are not there during adaptation (adapt.source)")

    batch = images_at = tokens_at = identities_at = _closed


def summarise_source(kind: str, model: Backbone, source: Callable[[], SourceLoader], kept: CachePath) -> SourceSummary:
    """What adaptation has of the source under `adapt.source` = `kind`.

    Args:
        model: with the source-trained weights. source: opens the source, only if `kept` does not hold its embeddings
            yet: they belong to the end of pre-training.
    """
    held = load_checkpoint(create_once(kept, lambda: _embedded(model, source())))
    here = {name: tensor.to(torch.get_default_device()) for name, tensor in held.items()}
    reduce = _REDUCTIONS[kind]
    return SourceSummary(
        reduce(LabelledEmbeddings(here["image"], here["image_identities"])),
        reduce(LabelledEmbeddings(here["text"], here["text_identities"])),
        here["words"],
    )


def prototypes(entries: LabelledEmbeddings) -> LabelledEmbeddings:
    """One entry an identity: the mean direction of its embeddings; identities in ascending order."""
    identities, which = entries.identities.unique(return_inverse=True)
    sums = entries.embeddings.new_zeros(len(identities), entries.embeddings.shape[1])
    return LabelledEmbeddings(F.normalize(sums.index_add(0, which, entries.embeddings), dim=-1), identities)


def _nothing(entries: LabelledEmbeddings) -> LabelledEmbeddings:
    return LabelledEmbeddings(entries.embeddings[:0], entries.identities[:0])


_REDUCTIONS: dict[str, Callable[[LabelledEmbeddings], LabelledEmbeddings]] = {
    "banks": lambda entries: entries,
    "prototypes": prototypes,
    "none": _nothing,
}


def _embedded(model: Backbone, source: SourceLoader) -> dict[str, Tensor]:
    images, texts = torch.arange(source.image_count), torch.arange(source.caption_count)
    found = {
        "image": map_batches(lambda rows: embed_clean(model, images=source.images_at(rows))[0], images.split(BATCH)),
        "text": map_batches(lambda rows: embed_clean(model, tokens=source.tokens_at(rows))[1], texts.split(BATCH)),
        "image_identities": source.identities_at(images, "image"),
        "text_identities": source.identities_at(texts, "caption"),
        "words": source.words,
    }
    return {name: tensor.cpu() for name, tensor in found.items()}


class SourceFree(CrossDomain):
    """Target terms alone: the source is what its model handed on, frozen in the source banks (`adapt.source`).

    Ours: the paper leaves open what remains of the method where the source's samples are not there.
    """

    def warm_start(self, warm: WarmStart) -> None:
        parts = self.parts
        assert isinstance(parts.feed.source, SourceSummary)
        parts.banks.fill_source(parts.feed.source.images, parts.feed.source.texts, self.config.seed)
        parts.banks.warm_start_target(parts.teacher.model(), parts.feed.target, self.config.seed, warm)

    def terms(self, step: int) -> dict[str, Tensor]:
        parts, nothing = self.parts, torch.zeros(0, dtype=torch.long)
        target = parts.feed.target.batch(step)
        entries = PerBank(nothing, nothing, *parts.banks.push_target(parts.teacher.model(), target))
        space = parts.banks.space(self.config.centre)
        known = self.propagate(space.views, entries, with_source=False)
        student = self.encode(target, "target", step)
        new = batch_embeddings(student, len(target.images), space.means.target_image, space.means.target_text)
        return self.target_terms(student, new, known, space.views, entries, step)

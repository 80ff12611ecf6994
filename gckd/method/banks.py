"""The four memory banks (eq. 1-2): filling them before the first step, and at every step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gckd.data.batches import Source
from gckd.data.loaders import TargetLoader
from gckd.data.transforms import clean_view
from gckd.data.types import SourceBatch, TargetBatch
from gckd.distributed import gather, local_rows, map_batches
from gckd.graph.memory import MemoryBank, centred
from gckd.method.warm_start import BATCH, Embed, WarmStart
from gckd.models.base import Backbone
from gckd.seeding import generator

MEAN_SAMPLE = 1024  # examples behind a mean embedding


class PerBank(NamedTuple):
    """One tensor for each of the four banks Q_SI, Q_ST, Q_TI and Q_TT, for example their embeddings [N, d]."""

    source_image: Tensor
    source_text: Tensor
    target_image: Tensor
    target_text: Tensor


class EmbeddingSpace(NamedTuple):
    """Where a step compares embeddings: the mean [d] of each bank, and each bank without it."""

    means: PerBank
    views: PerBank


class LabelledEmbeddings(NamedTuple):
    """Unit embeddings [n, d] of one modality, and their source identities [n]."""

    embeddings: Tensor
    identities: Tensor


class Banks(nn.Module):
    """Q_SI, Q_ST (with identities), Q_TI and Q_TT (without), of embeddings of clean views.

    Args:
        capacities: C of the source banks and of the target banks; B for a domain that is not remembered.
    """

    def __init__(self, capacities: tuple[int, int], width: int, source: Source, target: TargetLoader) -> None:
        super().__init__()
        at_source, at_target = capacities
        # More entries than examples would hold an example twice, and a twin is every node's nearest neighbour.
        self.source_image = MemoryBank(min(at_source, source.image_count), width)
        self.source_text = MemoryBank(min(at_source, source.caption_count), width)
        self.target_image = MemoryBank(min(at_target, target.image_count), width)
        self.target_text = MemoryBank(min(at_target, target.caption_count), width)

    def push_source(self, model: Backbone, batch: SourceBatch) -> tuple[Tensor, Tensor]:
        """Embed a source batch and store it; returns its positions in Q_SI and Q_ST."""
        images, texts = _embed_batch(model, batch)
        return (
            self.source_image.push(images, batch.image_rows, batch.identities),
            self.source_text.push(texts, batch.caption_rows, batch.identities),
        )

    def push(self, model: Backbone, source: SourceBatch, target: TargetBatch) -> PerBank:
        """Embed a source and a target batch and store them."""
        return PerBank(*self.push_source(model, source), *self.push_target(model, target))

    def push_target(self, model: Backbone, batch: TargetBatch) -> tuple[Tensor, Tensor]:
        """Embed a target batch and store it; returns its positions in Q_TI and Q_TT."""
        images, texts = _embed_batch(model, batch)
        return self.target_image.push(images, batch.image_rows), self.target_text.push(texts, batch.caption_rows)

    def warm_start_source(self, model: Backbone, source: Source, seed: int, warm: WarmStart) -> None:
        """Fill Q_SI and Q_ST with embeddings of examples in a seeded random order, before the first step."""
        images, texts = _embedders(model, source)
        size = len(self.source_image.rows)
        for rows, found in warm.first("source-image", seed, source.image_count, size, images):
            self.source_image.push(found, rows, source.identities_at(rows, "image"))
        size = len(self.source_text.rows)
        for rows, found in warm.first("source-text", seed, source.caption_count, size, texts):
            self.source_text.push(found, rows, source.identities_at(rows, "caption"))

    def fill_source(self, images: LabelledEmbeddings, texts: LabelledEmbeddings, seed: int) -> None:
        """Fill Q_SI and Q_ST with embeddings that are there already, in the order that a warm start takes them."""
        for bank, held, name in ((self.source_image, images, "image"), (self.source_text, texts, "text")):
            order = torch.randperm(len(held.identities), generator=generator(seed, f"warm-start/source-{name}"))
            order = order[: len(bank.rows)]
            for begin in range(0, len(order), BATCH):
                rows = order[begin : begin + BATCH]
                bank.push(held.embeddings[rows], rows, held.identities[rows])

    def warm_start_target(self, model: Backbone, target: TargetLoader, seed: int, warm: WarmStart) -> None:
        """The same for Q_TI and Q_TT, without identities."""
        images, texts = _embedders(model, target)
        size = len(self.target_image.rows)
        for rows, found in warm.first("target-image", seed, target.image_count, size, images):
            self.target_image.push(found, rows)
        size = len(self.target_text.rows)
        for rows, found in warm.first("target-text", seed, target.caption_count, size, texts):
            self.target_text.push(found, rows)

    def all(self) -> tuple[MemoryBank, MemoryBank, MemoryBank, MemoryBank]:
        """Q_SI, Q_ST, Q_TI, Q_TT."""
        return self.source_image, self.source_text, self.target_image, self.target_text

    def space(self, centre: bool) -> EmbeddingSpace:
        """The banks as they are now, centred by what each domain and modality has in common (or by zero)."""
        means = PerBank(*(bank.mean() * float(centre) for bank in self.all()))
        views = (centred(bank.filled(), mean) for bank, mean in zip(self.all(), means, strict=True))
        return EmbeddingSpace(means, PerBank(*views))


def _embed_batch(model: Backbone, batch: SourceBatch | TargetBatch) -> tuple[Tensor, Tensor]:
    """Unit embeddings [B, d] of a whole batch, each worker's rows by that worker."""
    images, texts = embed_clean(model, local_rows(batch.images), local_rows(batch.tokens))
    size = len(batch.images)
    return gather(images, size), gather(texts, size)


def _embedders(model: Backbone, loader: Source | TargetLoader) -> tuple[Embed, Embed]:
    """What makes embeddings [b, d] of rows [b] of a split: of its images, and of its captions."""
    return (
        lambda rows: embed_clean(model, images=loader.images_at(rows))[0],
        lambda rows: embed_clean(model, tokens=loader.tokens_at(rows))[1],
    )


def train_sample(model: Backbone, loader: Source | TargetLoader, size: int = MEAN_SAMPLE) -> tuple[Tensor, Tensor]:
    """Unit embeddings of (at most `size`) images and captions of a train split, always the same ones: [n, d], [m, d].

    Unlabelled: of the target it reads images and captions alone.
    """
    images, texts = (
        torch.randperm(count, generator=generator(0, "train-means"))[:size]
        for count in (loader.image_count, loader.caption_count)
    )
    image, text = _embedders(model, loader)
    return map_batches(image, images.split(BATCH)), map_batches(text, texts.split(BATCH))


def train_means(
    model: Backbone, loader: Source | TargetLoader, centre: bool, size: int = MEAN_SAMPLE
) -> tuple[Tensor, Tensor]:
    """Mean image and text embedding [d] of that sample: what evaluation is centred by. Zero without centring."""
    return means_of(train_sample(model, loader, size), centre)


def means_of(sample: tuple[Tensor, Tensor], centre: bool) -> tuple[Tensor, Tensor]:
    """The same of a sample that is there already."""
    return sample[0].mean(0) * float(centre), sample[1].mean(0) * float(centre)


@torch.no_grad()
def embed_clean(model: Backbone, images: Tensor | None = None, tokens: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Unit embeddings of uint8 images and of token ids, without dropout; what is not given comes back empty."""
    training, nothing = model.training, torch.zeros(0)
    model.eval()
    found = (
        nothing if images is None else model.encode_image(clean_view(images)).embedding,
        nothing if tokens is None else model.encode_text(tokens).embedding,
    )
    model.train(training)
    return found

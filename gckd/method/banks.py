"""The four memory banks (eq. 1-2): Q_SI, Q_ST, Q_TI and Q_TT."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gckd.data.batches import Source
from gckd.data.loaders import TargetLoader
from gckd.data.transforms import clean_view
from gckd.data.types import SourceBatch, TargetBatch
from gckd.distributed import gather, local_rows, map_batches
from gckd.graph.knn import CentredBank, KnnIndex, NeighbourSearch
from gckd.graph.memory import MemoryBank, centred
from gckd.graph.similarity import BankPair
from gckd.method.warm_start import BATCH, Embed, WarmStart, warm_start_order
from gckd.models.base import Backbone
from gckd.models.joint_pass import joined, joins_passes
from gckd.seeding import generator

MEAN_SAMPLE = 1024  # examples whose embeddings are averaged


class PerBank(NamedTuple):
    """One tensor for each of the four banks Q_SI, Q_ST, Q_TI and Q_TT, for example their embeddings [N, d]."""

    source_image: Tensor
    source_text: Tensor
    target_image: Tensor
    target_text: Tensor


class EmbeddingSpace(NamedTuple):
    """The space in which a step compares embeddings."""

    means: PerBank  # [d] each; zero without centring
    banks: PerBank  # [N, d] each: unit embeddings without the mean of their bank


class LabelledEmbeddings(NamedTuple):
    """Unit embeddings [n, d] of one modality of the source, with identities [n]."""

    embeddings: Tensor
    identities: Tensor


class Banks(nn.Module):
    """The four memory banks of teacher embeddings of clean views (eq. 1-2).

    Source banks hold identities, target banks none. A bank never has more entries than its split has examples:
    otherwise an example would be in it twice, and its copy would be its nearest neighbour.

    Args:
        capacities: C of each source bank and of each target bank.
        width: d, embedding width.
        source, target: the train splits, for their sizes.
        mean_every: steps after which the means of full banks are computed again.
    """

    # Both only if `mean_every` > 1.
    last_means: Tensor  # [4, d], as last computed
    has_means: Tensor  # whether `last_means` were computed since all banks were filled; on the CPU, to wait for no GPU

    def __init__(
        self, capacities: tuple[int, int], width: int, source: Source, target: TargetLoader, mean_every: int = 1
    ) -> None:
        super().__init__()
        self.mean_every = mean_every
        if mean_every > 1:
            self.register_buffer("last_means", torch.zeros(4, width))
            self.register_buffer("has_means", torch.zeros((), dtype=torch.bool, device="cpu"))
        source_capacity, target_capacity = capacities
        self.source_image = MemoryBank(min(source_capacity, source.image_count), width)
        self.source_text = MemoryBank(min(source_capacity, source.caption_count), width)
        self.target_image = MemoryBank(min(target_capacity, target.image_count), width)
        self.target_text = MemoryBank(min(target_capacity, target.caption_count), width)

    def push(self, model: Backbone, source: SourceBatch, target: TargetBatch) -> PerBank:
        """Embed and store a source batch and a target batch; returns the positions [B] of the new entries."""
        source_embeddings, target_embeddings = _embed_batches(model, source, target)
        return PerBank(*self._store_source(source_embeddings, source), *self._store_target(target_embeddings, target))

    def push_source(self, model: Backbone, batch: SourceBatch) -> tuple[Tensor, Tensor]:
        """Embed and store a source batch; returns its positions [B] in Q_SI and Q_ST."""
        (embeddings,) = _embed_batches(model, batch)
        return self._store_source(embeddings, batch)

    def push_target(self, model: Backbone, batch: TargetBatch) -> tuple[Tensor, Tensor]:
        """Embed and store a target batch; returns its positions [B] in Q_TI and Q_TT."""
        (embeddings,) = _embed_batches(model, batch)
        return self._store_target(embeddings, batch)

    def _store_source(self, embeddings: tuple[Tensor, Tensor], batch: SourceBatch) -> tuple[Tensor, Tensor]:
        return (
            self.source_image.push(embeddings[0], batch.image_rows, batch.identities),
            self.source_text.push(embeddings[1], batch.caption_rows, batch.identities),
        )

    def _store_target(self, embeddings: tuple[Tensor, Tensor], batch: TargetBatch) -> tuple[Tensor, Tensor]:
        return (
            self.target_image.push(embeddings[0], batch.image_rows),
            self.target_text.push(embeddings[1], batch.caption_rows),
        )

    def warm_start_source(self, model: Backbone, source: Source, seed: int, warm: WarmStart) -> None:
        """Fill Q_SI and Q_ST with embeddings of train examples, in a seeded random order."""
        embed_images, embed_texts = _embedders(model, source)
        size = len(self.source_image.rows)
        for rows, images in warm.first("source-image", seed, source.image_count, size, embed_images):
            self.source_image.push(images, rows, source.identities_at(rows, "image"))
        size = len(self.source_text.rows)
        for rows, texts in warm.first("source-text", seed, source.caption_count, size, embed_texts):
            self.source_text.push(texts, rows, source.identities_at(rows, "caption"))

    def warm_start_target(self, model: Backbone, target: TargetLoader, seed: int, warm: WarmStart) -> None:
        """Fill Q_TI and Q_TT likewise, without identities."""
        embed_images, embed_texts = _embedders(model, target)
        size = len(self.target_image.rows)
        for rows, images in warm.first("target-image", seed, target.image_count, size, embed_images):
            self.target_image.push(images, rows)
        size = len(self.target_text.rows)
        for rows, texts in warm.first("target-text", seed, target.caption_count, size, embed_texts):
            self.target_text.push(texts, rows)

    def fill_source(self, images: LabelledEmbeddings, texts: LabelledEmbeddings, seed: int) -> None:
        """Fill Q_SI and Q_ST with given embeddings, in the order of a warm start."""
        for bank, entries, name in ((self.source_image, images, "image"), (self.source_text, texts, "text")):
            order = warm_start_order(f"source-{name}", seed, len(entries.identities))[: len(bank.rows)]
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                bank.push(entries.embeddings[rows], rows, entries.identities[rows])

    def clear(self) -> None:
        """Empty all banks."""
        for bank in self.all():
            bank.clear()
        if self.mean_every > 1:
            self.has_means.fill_(False)

    def all(self) -> tuple[MemoryBank, MemoryBank, MemoryBank, MemoryBank]:
        """Q_SI, Q_ST, Q_TI, Q_TT."""
        return self.source_image, self.source_text, self.target_image, self.target_text

    def space(self, centre: bool, step: int | None = None) -> EmbeddingSpace:
        """The filled entries of each bank, without the mean of the bank if `centre`.

        Args:
            step: of the adaptation; its means may be those of an earlier step (`mean_every`). None: current means.
        """
        if not centre:
            means = PerBank(*(torch.zeros(bank.embeddings.shape[1]) for bank in self.all()))
        elif step is None or self.mean_every == 1:
            means = self._means()
        else:
            means = self._means_at(step)
        entries = (centred(bank.filled(), mean) for bank, mean in zip(self.all(), means, strict=True))
        return EmbeddingSpace(means, PerBank(*entries))

    def _means(self) -> PerBank:
        return PerBank(*(bank.mean() for bank in self.all()))

    def _means_at(self, step: int) -> PerBank:
        """Means at the last multiple of `mean_every`; current ones while a bank is being filled."""
        filling = any(0 < len(bank) < len(bank.rows) for bank in self.all())
        if step % self.mean_every == 0 or filling or not self.has_means:
            self.last_means.copy_(torch.stack(self._means()))
            self.has_means.fill_(not filling)
        return PerBank(*self.last_means.clone())

    def target_pair(self, space: EmbeddingSpace, search: NeighbourSearch) -> BankPair:
        """Q_TI and Q_TT in the current space, whose neighbours are found by `search`."""
        target = ("target_image", self.target_image), ("target_text", self.target_text)
        images, texts = (self._index(name, bank, space, search) for name, bank in target)
        return BankPair(images, texts, shared=True)

    def _index(self, name: str, bank: MemoryBank, space: EmbeddingSpace, search: NeighbourSearch) -> KnnIndex:
        unit = getattr(space.banks, name)
        centred_bank = CentredBank(bank.filled(), getattr(space.means, name), unit)
        return KnnIndex(unit, search=search, search_all=partial(search.of_bank, name, centred_bank))


def _embed_batches(model: Backbone, *batches: SourceBatch | TargetBatch) -> list[tuple[Tensor, Tensor]]:
    """Unit embeddings [B, d] of the images and captions of whole batches; each worker computes its own rows."""
    images, tokens = [b.images for b in batches], [local_rows(b.tokens) for b in batches]
    if joins_passes(images[0]):
        sizes = [len(part) for part in images]
        embeddings = embed_clean(model, joined(images), joined(tokens))
        parts = list(zip(embeddings[0].split(sizes), embeddings[1].split(sizes), strict=True))
    else:
        parts = [embed_clean(model, *views) for views in zip(images, tokens, strict=True)]
    sizes = [batch.size for batch in batches]
    return [(gather(image, size), gather(text, size)) for (image, text), size in zip(parts, sizes, strict=True)]


def _embedders(model: Backbone, loader: Source | TargetLoader) -> tuple[Embed, Embed]:
    """Functions from rows [b] of a split to embeddings [b, d] of its images and of its captions."""
    return (
        lambda rows: embed_clean(model, images=loader.images_at(rows))[0],
        lambda rows: embed_clean(model, tokens=loader.tokens_at(rows))[1],
    )


def train_sample(model: Backbone, loader: Source | TargetLoader, size: int = MEAN_SAMPLE) -> tuple[Tensor, Tensor]:
    """Unit embeddings of a fixed random sample of a train split, without labels.

    Returns:
        Embeddings [n, d] of images and [m, d] of captions, n and m at most `size`.
    """
    image_rows, caption_rows = (
        torch.randperm(count, generator=generator(0, "train-means"))[:size]
        for count in (loader.image_count, loader.caption_count)
    )
    embed_images, embed_texts = _embedders(model, loader)
    return map_batches(embed_images, image_rows.split(BATCH)), map_batches(embed_texts, caption_rows.split(BATCH))


def train_means(
    model: Backbone, loader: Source | TargetLoader, centre: bool, size: int = MEAN_SAMPLE
) -> tuple[Tensor, Tensor]:
    """Mean image and text embedding [d] of `train_sample`, which evaluation subtracts; zero without `centre`."""
    return means_of(train_sample(model, loader, size), centre)


def means_of(sample: tuple[Tensor, Tensor], centre: bool) -> tuple[Tensor, Tensor]:
    """Mean image and text embedding [d] of a sample; zero without `centre`."""
    return sample[0].mean(0) * float(centre), sample[1].mean(0) * float(centre)


@torch.no_grad()
def embed_clean(model: Backbone, images: Tensor | None = None, tokens: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Unit embeddings of clean views, without dropout; empty for an argument that is not given.

    Shapes:
        images [n, 3, H, W] uint8, tokens [m, L] -> [n, d], [m, d].
    """
    training, empty = model.training, torch.zeros(0)
    model.eval()
    embeddings = (
        empty if images is None else model.embed_image(clean_view(images)),
        empty if tokens is None else model.embed_text(tokens),
    )
    model.train(training)
    return embeddings

"""Matching and masked language modelling on the labelled source, in both training stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gckd.data.batches import Views
from gckd.data.tokenizer import Tokenizer
from gckd.data.types import SourceBatch
from gckd.distributed import gather, local_rows, weighted_local_mean, world_size
from gckd.method.losses import hard_negatives, matching_loss
from gckd.method.mlm_loss import mlm_loss
from gckd.models.base import Backbone, Encoded
from gckd.models.joint_pass import embed_jointly, encode_jointly


class EncodedBatch(NamedTuple):
    """This worker's rows of a batch, encoded by the student: b of B images and captions."""

    image: Encoded
    text: Encoded
    tokens: Tensor  # [b, L] of the augmented captions that `text` encodes


class EmbeddedBatch(NamedTuple):
    """This worker's rows of a batch, embedded by the student: b of B images and captions."""

    image: Tensor  # [b, d], unit vectors
    text: Tensor  # [b, d]
    encoded: EncodedBatch | None  # with the states of all tokens, if the step has matching or MLM terms


def embed_batch(model: Backbone, view: Views, with_states: bool) -> EmbeddedBatch:
    """Embeddings of an augmented batch, which cost less without states."""
    if not with_states:
        return EmbeddedBatch(model.embed_image(view.images), model.embed_text(view.tokens), None)
    return _with_states(model.encode_image(view.images), model.encode_text(view.tokens), view)


def embed_batches(model: Backbone, views: Sequence[Views], with_states: bool) -> list[EmbeddedBatch]:
    """Embeddings of several augmented batches by one pass of each encoder."""
    images, tokens = [view.images for view in views], [view.tokens for view in views]
    if not with_states:
        embeddings = embed_jointly(model.embed_image, images), embed_jointly(model.embed_text, tokens)
        return [EmbeddedBatch(image, text, None) for image, text in zip(*embeddings, strict=True)]
    encoded = encode_jointly(model.encode_image, images), encode_jointly(model.encode_text, tokens)
    return [_with_states(image, text, view) for image, text, view in zip(*encoded, views, strict=True)]


def _with_states(image: Encoded, text: Encoded, view: Views) -> EmbeddedBatch:
    return EmbeddedBatch(image.embedding, text.embedding, EncodedBatch(image, text, view.tokens))


def source_fusion_terms(
    model: Backbone,
    encoded: EncodedBatch,
    batch: SourceBatch,
    tokenizer: Tokenizer,
    every: int,
    random: torch.Generator,
) -> dict[str, Tensor]:
    """Matching and MLM terms on the source, as far as the backbone has heads for them.

    Args:
        encoded: the student's encodings of the augmented batch.
        batch: the whole batch, not augmented.
        every: weight of the terms, which are computed at every `every`-th step only.
    """
    terms = {}
    if model.has_matching_head:
        terms["source_matching"] = every * source_matching(model, encoded, batch.identities, random)
    if model.has_mlm_head:
        terms["source_mlm"] = every * mlm_loss(model, encoded.image.states, batch.tokens, tokenizer, random)
    return terms


def source_matching(
    model: Backbone,
    encoded: EncodedBatch,
    identities: Tensor,
    random: torch.Generator,
    keys: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Matching loss on the B pairs of a batch, and on a hard negative caption and image for each.

    Negatives have another identity and are drawn by their similarity (`hard_negatives`).

    Args:
        identities: [B] of the whole batch.
        keys: image and text embeddings [b, d] that negatives are compared by; None: the model's own.

    Source: Li et al., "Align before fuse" (ALBEF), NeurIPS 2021, section 3.2.
    """
    size = len(identities)
    texts, images = _negatives(model, encoded, identities, random, keys)
    indices = torch.arange(size)
    # A batch with one identity has no negatives; the forbidden draws are dropped.
    other_text, other_image = identities != identities[texts], identities != identities[images]
    usable = torch.cat((local_rows(other_text), local_rows(other_image))).nonzero().squeeze(1)
    local, texts, images = local_rows(indices), local_rows(texts), local_rows(images)
    states, which = gather(encoded.image.states, size), torch.cat((local, local, images))
    if world_size() > 1:  # the states of an image are passed once, however many pairs use it; one worker uses all
        distinct, which = which.unique(return_inverse=True)
        states = states[distinct]
    text, tokens = encoded.text.states, encoded.tokens
    logits = model.match(
        states,
        torch.cat((text, gather(text, size)[texts], text)),
        torch.cat((tokens, gather(tokens, size)[texts], tokens)),
        which,
    )
    loss = matching_loss(logits[: len(tokens)], logits[len(tokens) :][usable])
    return weighted_local_mean(loss, len(tokens) + len(usable))


@torch.no_grad()
def _negatives(
    model: Backbone,
    encoded: EncodedBatch,
    identities: Tensor,
    random: torch.Generator,
    keys: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor, Tensor]:
    """A hard negative caption for each image and a hard negative image for each caption: indices [B], [B]."""
    size = len(identities)
    queries = gather(encoded.image.embedding, size), gather(encoded.text.embedding, size)
    image_keys, text_keys = (gather(key, size) for key in keys) if keys else queries
    image_to_text = queries[0] @ text_keys.T / model.tau
    text_to_image = queries[1] @ image_keys.T / model.tau
    same = identities[:, None] == identities[None, :]
    return hard_negatives(image_to_text, same, random), hard_negatives(text_to_image, same, random)

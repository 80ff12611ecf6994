"""Loss terms on the labelled source: matching and masked language modelling, shared by both training stages."""

from __future__ import annotations

import torch
from torch import Tensor

from gckd.data.tokenizer import Tokenizer
from gckd.data.types import SourceBatch
from gckd.distributed import gather, local_rows, weighted_local_mean
from gckd.method.losses import hard_negatives, mask_tokens, matching_loss
from gckd.models.base import Backbone, Encoded

MLM_RATE = 0.15  # share of masked words, as in ALBEF and BERT


def source_fusion_terms(
    model: Backbone,
    image: Encoded,
    text: Encoded,
    tokens: Tensor,
    batch: SourceBatch,
    tokenizer: Tokenizer,
    every: int,
    random: torch.Generator,
) -> dict[str, Tensor]:
    """Matching and MLM on the source, each weighted `every`-fold, where the backbone has a head for it.

    Args:
        image, text: this worker's rows. tokens: [b, L] as the model saw them; the batch holds all as they are.
    """
    terms = {}
    if model.matches:
        terms["source_matching"] = every * source_matching(model, image, text, tokens, batch.identities, random)
    if model.predicts:
        terms["source_mlm"] = every * source_mlm(model, image, batch.tokens, tokenizer, random)
    return terms


def source_matching(
    model: Backbone,
    image: Encoded,
    text: Encoded,
    tokens: Tensor,
    identities: Tensor,
    random: torch.Generator,
    keys: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Matching loss: the B true pairs against one hard image a text and one hard text an image (another identity).

    Args:
        image, text: this worker's rows; tokens: [b, L]; identities: [B].
        keys: image and text embeddings [b, d] that hardness is measured by; the model's own if not given.
    """
    size = len(identities)
    with torch.no_grad():
        seen = gather(image.embedding, size), gather(text.embedding, size)
        image_keys, text_keys = (gather(own, size) for own in keys) if keys else seen
        to_texts = seen[0] @ text_keys.T / model.tau
        to_images = seen[1] @ image_keys.T / model.tau
    same = identities[:, None] == identities[None, :]
    texts = hard_negatives(to_texts, same, random)
    images = hard_negatives(to_images, same, random)
    # A batch of one identity has no negatives; its forbidden draws are dropped.
    every = torch.arange(size)
    usable = torch.cat((local_rows(~same[every, texts]), local_rows(~same[every, images])))
    own, texts, images = local_rows(every), local_rows(texts), local_rows(images)
    # Each image once, however many pairs it is in.
    needed, which = torch.cat((own, own, images)).unique(return_inverse=True)
    logits = model.match(
        gather(image.states, size)[needed],
        torch.cat((text.states, gather(text.states, size)[texts], text.states)),
        torch.cat((tokens, gather(tokens, size)[texts], tokens)),
        which,
    )
    loss = matching_loss(logits[: len(tokens)], logits[len(tokens) :][usable])
    return weighted_local_mean(loss, len(tokens) + int(usable.sum()))


def source_mlm(
    model: Backbone, image: Encoded, tokens: Tensor, tokenizer: Tokenizer, random: torch.Generator
) -> Tensor:
    """Masked language modelling with the image: cross-entropy over the vocabulary at the masked words.

    Args:
        image: this worker's rows. tokens: [B, L], of the whole batch.
    """
    first_word = tokenizer.first_word
    masked, chosen = map(
        local_rows, mask_tokens(tokens, MLM_RATE, tokenizer.mask, first_word, tokenizer.vocab_size, random)
    )
    words, loss = local_rows(tokens)[chosen], torch.zeros(())
    if len(words):
        loss = torch.nn.functional.cross_entropy(model.predict_tokens(masked, image.states, chosen), words)
    return weighted_local_mean(loss, len(words))

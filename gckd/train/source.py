"""Loss terms on the labelled source: matching and masked language modelling, shared by both training stages."""

from __future__ import annotations

import torch
from torch import Tensor

from gckd.data.records import SourceBatch
from gckd.data.tokenizer import Tokenizer
from gckd.model.backbone import Backbone, Encoded
from gckd.model.losses import hard_negatives, mask_tokens, matching_loss

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
        tokens: [B, L] as the model saw them; the batch holds them as they are.
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
        keys: image and text embeddings [B, d] that hardness is measured by; the model's own if not given.
    """
    image_keys, text_keys = keys or (image.embedding, text.embedding)
    with torch.no_grad():
        to_texts = image.embedding @ text_keys.T / model.tau
        to_images = text.embedding @ image_keys.T / model.tau
    same = identities[:, None] == identities[None, :]
    texts = hard_negatives(to_texts, same, random)
    images = hard_negatives(to_images, same, random)
    logits = model.match(
        torch.cat((image.states, image.states, image.states[images])),
        torch.cat((text.states, text.states[texts], text.states)),
        torch.cat((tokens, tokens[texts], tokens)),
    )
    # A batch of one identity has no negatives; its forbidden draws are dropped.
    usable = torch.cat((~same[torch.arange(len(same)), texts], ~same[torch.arange(len(same)), images]))
    return matching_loss(logits[: len(tokens)], logits[len(tokens) :][usable])


def source_mlm(
    model: Backbone, image: Encoded, tokens: Tensor, tokenizer: Tokenizer, random: torch.Generator
) -> Tensor:
    """Masked language modelling with the image: cross-entropy over the vocabulary at the masked words."""
    first_word = tokenizer.first_word
    masked, chosen = mask_tokens(tokens, MLM_RATE, tokenizer.mask, first_word, tokenizer.vocab_size, random)
    if not bool(chosen.any()):
        return torch.zeros(())
    logits = model.predict_tokens(masked, image.states, chosen)
    return torch.nn.functional.cross_entropy(logits, tokens[chosen])

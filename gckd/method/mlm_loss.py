"""Masked language modelling, with the image or on text alone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.data.tokenizer import Tokenizer
from gckd.distributed import local_rows, weighted_local_mean
from gckd.method.losses import mask_tokens
from gckd.models.base import Backbone

MLM_RATE = 0.15  # share of masked words, as in ALBEF and BERT


def mlm_loss(
    model: Backbone,
    image_states: Tensor | None,
    tokens: Tensor,
    tokenizer: Tokenizer,
    random: torch.Generator,
    rate: float = MLM_RATE,
) -> Tensor:
    """Cross-entropy over the vocabulary at the masked words.

    Args:
        image_states: [b, T, width], this worker's rows; None: the words are predicted from the text alone.
        tokens: [B, L] of the whole batch.
        rate: share of masked words.

    Source: Li et al., "Align before fuse" (ALBEF), NeurIPS 2021, section 3.2; on text alone, Devlin et al., "BERT",
    NAACL 2019, section 3.1.
    """
    words = tokenizer.first_word, tokenizer.vocab_size
    masked, chosen = map(local_rows, mask_tokens(tokens, rate, tokenizer.mask, *words, random))
    targets, loss = local_rows(tokens)[chosen], torch.zeros(())
    if len(targets):
        loss = F.cross_entropy(model.predict_tokens(masked, image_states, chosen), targets)
    return weighted_local_mean(loss, len(targets))

"""Loss terms of the retriever: contrastive with any target distribution, matching, masked language modelling."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over rows of -sum(targets * log_softmax(logits)); both [B, N], target rows sum to 1."""
    return -(targets * F.log_softmax(logits, 1)).sum(1).mean()


def identity_targets(rows: Tensor, columns: Tensor) -> Tensor:
    """Uniform distribution over the columns of the same identity: [B] and [N] -> [B, N].

    Every row's identity must occur among the columns (the banks hold the batch itself).
    """
    same = (rows[:, None] == columns[None, :]).float()
    return same / same.sum(1, keepdim=True)


def matching_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """Binary cross-entropy of matching logits [P, 2] of true pairs and [N, 2] of false ones, each pair equally."""
    logits = torch.cat((positive, negative))
    labels = torch.cat((torch.ones(len(positive)), torch.zeros(len(negative)))).long()
    return F.cross_entropy(logits, labels)


def mask_tokens(
    tokens: Tensor, rate: float, mask_id: int, first_word: int, vocab_size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """BERT's masking: of a share `rate` of the words 80 % become [MASK], 10 % random, 10 % stay.

    Args:
        tokens: [B, L]; ids below `first_word` are special and never chosen.

    Returns:
        The masked tokens [B, L] and the chosen positions as a boolean mask [B, L].
    """
    draw = torch.rand(tokens.shape, generator=generator)
    chosen = (draw < rate) & (tokens >= first_word)
    kind = torch.rand(tokens.shape, generator=generator)
    random = torch.randint(first_word, vocab_size, tokens.shape, generator=generator)
    masked = torch.where(chosen & (kind < 0.8), mask_id, tokens)
    return torch.where(chosen & (kind >= 0.9), random, masked), chosen


def hard_negatives(similarity: Tensor, forbidden: Tensor, generator: torch.Generator) -> Tensor:
    """One column for each row, drawn with probability softmax(similarity) among the columns not `forbidden`.

    Args:
        similarity: [B, N] in units of the temperature. forbidden: boolean [B, N]; a row that forbids all columns gets
            a column all the same (the caller drops it).

    Returns:
        Column indices [B]. Source: ALBEF section 3.2, in-batch hard negatives.
    """
    # Finite, so that a row that forbids everything is uniform and not NaN.
    weights = F.softmax(similarity.float().masked_fill(forbidden, -1e9), 1)
    return torch.multinomial(weights, 1, generator=generator).squeeze(1)

"""Losses and targets shared by both training stages: contrastive, matching and masked language modelling."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy to any target distribution (eq. 8).

        L = mean_i -sum_j s_ij log softmax(logits_i)_j

    Args:
        logits: similarities over the temperature.
        targets: s, rows that sum to 1 or to the weight of the row.

    Shapes:
        logits [B, N], targets [B, N] -> scalar.
    """
    return -(targets * F.log_softmax(logits, 1)).sum(1).mean()


def identity_targets(rows: Tensor, columns: Tensor) -> Tensor:
    """Uniform distribution over the columns with the identity of the row.

    Args:
        rows, columns: identities. The identity of every row must occur among the columns, as it does in a bank that
            holds the batch itself.

    Shapes:
        rows [B], columns [N] -> [B, N].
    """
    same = (rows[:, None] == columns[None, :]).float()
    return same / same.sum(1, keepdim=True)


def matching_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """Binary cross-entropy of the matching head (eq. 9); every pair weighs the same.

    Shapes:
        logits of matching pairs [P, 2] and of other pairs [N, 2], column 1 is "match" -> scalar.
    """
    logits = torch.cat((positive, negative))
    labels = torch.cat((torch.ones(len(positive)), torch.zeros(len(negative)))).long()
    return F.cross_entropy(logits, labels)


def mask_tokens(
    tokens: Tensor, rate: float, mask_id: int, first_word: int, vocab_size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """BERT's masking: of a share `rate` of the words, 80 % become [MASK], 10 % a random word, 10 % stay the same.

    Args:
        tokens: [B, L]. Ids below `first_word` are special tokens, which are never masked.

    Returns:
        The masked tokens [B, L], and the chosen positions as a boolean mask [B, L].
    """
    draw = torch.rand(tokens.shape, generator=generator)
    chosen = (draw < rate) & (tokens >= first_word)
    replacement = torch.rand(tokens.shape, generator=generator)
    random_words = torch.randint(first_word, vocab_size, tokens.shape, generator=generator)
    masked = torch.where(chosen & (replacement < 0.8), mask_id, tokens)
    return torch.where(chosen & (replacement >= 0.9), random_words, masked), chosen


def hard_negatives(similarity: Tensor, forbidden: Tensor, generator: torch.Generator) -> Tensor:
    """Negatives drawn by similarity: for each row, column j with probability softmax(similarity)_j.

    Args:
        similarity: cosines over the temperature.
        forbidden: columns that are no negatives, boolean. A row without any allowed column gets an arbitrary one, which
            the caller must drop. So does a row of a diverged model, whose losses are not finite with any negative; the
            trainer then names them.

    Shapes:
        similarity [B, N], forbidden [B, N] -> column indices [B].

    Source: Li et al., "Align before fuse" (ALBEF), NeurIPS 2021, section 3.2.
    """
    # Not -inf: a row of -inf would become NaN.
    weights = F.softmax(similarity.float().masked_fill(forbidden, -1e9), 1).nan_to_num(nan=1.0)
    return torch.multinomial(weights, 1, generator=generator).squeeze(1)

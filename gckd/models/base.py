"""What the method asks of any retriever: two encoders with a joint space, and perhaps a fusion encoder."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Encoded(NamedTuple):
    """What an encoder makes of a batch: token states [B, T, width] and unit embeddings [B, d]."""

    states: Tensor
    embedding: Tensor


class Backbone(nn.Module, ABC):
    """A text-to-image retriever with joint embeddings of width `embed_dim` and a learned temperature.

    `matches` and `predicts` say whether it has a matching head over fused states, and an MLM head; without one its
    term does not exist.
    """

    log_tau: Tensor
    embed_dim: int
    matches: bool
    predicts: bool

    @property
    def tau(self) -> Tensor:
        """Temperature, kept in [0.001, 0.5] as in ALBEF. Learned as log(tau), so that no step makes it negative."""
        return self.log_tau.exp().clamp(0.001, 0.5)

    @abstractmethod
    def encode_image(self, images: Tensor) -> Encoded:
        """Images [B, 3, H, W] around [-1, 1] -> image tokens and unit embeddings."""

    @abstractmethod
    def encode_text(self, tokens: Tensor) -> Encoded:
        """Token ids [B, L], 0 = padding -> text states and unit embeddings."""

    @abstractmethod
    def words(self) -> nn.Parameter:
        """Embeddings [vocabulary, width] of the word pieces."""

    @abstractmethod
    def text_norms(self) -> list[nn.LayerNorm]:
        """The LayerNorms that `encode_text` goes through."""

    def match(self, image_states: Tensor, text_states: Tensor, tokens: Tensor, images: Tensor | None = None) -> Tensor:
        """Matching logits [B, 2] of B pairs; column 1 is "they match".

        Args:
            images: [B], which of `image_states` each text is paired with; None: text i with image i.
        """
        raise NotImplementedError(f"{type(self).__name__} has no matching head")

    def predict_tokens(self, tokens: Tensor, image_states: Tensor, where: Tensor) -> Tensor:
        """MLM logits [n, vocabulary] at the n positions that the boolean mask `where` [B, L] selects."""
        raise NotImplementedError(f"{type(self).__name__} has no MLM head")

    def notes(self) -> tuple[str, ...]:
        """What a table must say of this backbone."""
        return ()


def layer_norms(*modules: nn.Module) -> list[nn.LayerNorm]:
    """Every LayerNorm below them."""
    return [layer for module in modules for layer in module.modules() if isinstance(layer, nn.LayerNorm)]


def log_temperature(tau: float) -> nn.Parameter:
    """The learned log(tau)."""
    return nn.Parameter(torch.tensor(math.log(tau)))

"""Interface between the method and a backbone, and the registry of backbones."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gckd.config.component import BackboneConfig
from gckd.config.registry import Registry
from gckd.data.types import Vocabulary


class InputSizes(NamedTuple):
    """Sizes of the inputs that a backbone is built for."""

    vocabulary: Vocabulary
    height: int  # of an image, in pixels
    width: int
    max_tokens: int  # of a caption


class Encoded(NamedTuple):
    """Output of an encoder for a batch: token states [B, T, width] and unit embeddings [B, d]."""

    states: Tensor
    embedding: Tensor


class Backbone(nn.Module, ABC):
    """Text-to-image retriever: image and text encoders with a joint embedding space, and optional heads.

    Without a matching head or an MLM head, training has no loss of that kind. To add a backbone, subclass this class
    and register it for its config node:

        @BACKBONES.register(MyConfig)
        class MyBackbone(Backbone):
            def __init__(self, config: MyConfig, inputs: InputSizes) -> None: ...

    Attributes:
        log_tau: learned log of the temperature; in log space, no optimiser step can make tau negative.
        embed_dim: d, width of the joint embedding.
        has_matching_head: whether `match` is implemented.
        has_mlm_head: whether `predict_tokens` is implemented.
        load_notes: report of `load_initial_weights`, one line each.
    """

    log_tau: Tensor
    embed_dim: int
    has_matching_head: bool = False
    has_mlm_head: bool = False
    load_notes: tuple[str, ...] = ()

    @property
    def tau(self) -> Tensor:
        """Temperature, limited to [0.001, 0.5] as in ALBEF."""
        return self.log_tau.exp().clamp(0.001, 0.5)

    @abstractmethod
    def encode_image(self, images: Tensor) -> Encoded:
        """Images [B, 3, H, W] with values in [-1, 1] -> states of image tokens, and unit embeddings."""

    @abstractmethod
    def encode_text(self, tokens: Tensor) -> Encoded:
        """Token ids [B, L], 0 = padding -> states of text tokens, and unit embeddings."""

    def embed_image(self, images: Tensor) -> Tensor:
        """Unit embeddings [B, d] of images, as `encode_image` gives them up to rounding.

        To override where they cost less than the states of all tokens.
        """
        return self.encode_image(images).embedding

    def embed_text(self, tokens: Tensor) -> Tensor:
        """Unit embeddings [B, d] of captions, as `encode_text` gives them up to rounding."""
        return self.encode_text(tokens).embedding

    @abstractmethod
    def word_embeddings(self) -> Tensor:
        """Parameter with the input embeddings of the tokens [vocabulary, width]."""

    @abstractmethod
    def text_layer_norms(self) -> list[nn.LayerNorm]:
        """LayerNorm modules that `encode_text` uses."""

    def match(self, image_states: Tensor, text_states: Tensor, tokens: Tensor, images: Tensor | None = None) -> Tensor:
        """Matching logits [B, 2] of B image-text pairs; column 1 is "the pair matches".

        Args:
            image_states: [N, T, width], states of N images.
            text_states: [B, L, width], states of B texts.
            tokens: [B, L], token ids of the texts.
            images: [B], row of `image_states` for each text; None: text i is paired with image i.
        """
        raise NotImplementedError(f"{type(self).__name__} has no matching head")

    def predict_tokens(self, tokens: Tensor, image_states: Tensor | None, positions: Tensor) -> Tensor:
        """MLM logits [n, vocabulary] at the n positions selected by the boolean mask `positions` [B, L].

        Args:
            tokens: [B, L], masked.
            image_states: [B, T, width]; None: predict from the states of `encode_text`, without images.
        """
        raise NotImplementedError(f"{type(self).__name__} has no MLM head")

    def load_initial_weights(self) -> Backbone:
        """Load the checkpoint that the config names, if the constructor has not loaded it.

        Returns:
            The model that a momentum model starts from: this one, or a copy with the checkpoint's momentum weights.

        Raises:
            InputError: the checkpoint cannot be read or does not fit.
        """
        return self

    def check_initial_weights(self) -> tuple[str, ...]:
        """Report of `load_initial_weights`, one line each, from a model whose own weights have no memory ("meta").

        Raises:
            InputError: the checkpoint cannot be read or does not fit.
        """
        return ()

    def notes(self) -> tuple[str, ...]:
        """Remarks about this backbone that are printed below tables of results."""
        return ()


BACKBONES: Registry[BackboneConfig, Backbone, InputSizes] = Registry(BackboneConfig)


def layer_norms(*modules: nn.Module) -> list[nn.LayerNorm]:
    """All LayerNorm modules inside the given modules."""
    return [layer for module in modules for layer in module.modules() if isinstance(layer, nn.LayerNorm)]


def log_temperature(tau: float) -> nn.Parameter:
    """Learnable log(tau)."""
    return nn.Parameter(torch.tensor(math.log(tau)))

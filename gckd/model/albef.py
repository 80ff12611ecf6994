"""ALBEF: encoders, projections to the joint space, matching head and MLM head in one module."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gckd.config.backbone import Albef
from gckd.model.compute import autocast, compile_layers
from gckd.model.text import TextEncoder
from gckd.model.vision import VisionTransformer


class Encoded(NamedTuple):
    """What an encoder makes of a batch: token states [B, T, width] and unit embeddings [B, d]."""

    states: Tensor
    embedding: Tensor


class AlbefModel(nn.Module):
    """Image and text encoders with a joint space of width d, a fusion encoder, a matching and an MLM head.

    Source: Li et al., "Align before Fuse", NeurIPS 2021; salesforce/ALBEF at b9727e4. The temperature is kept as
    log(tau), so that a step cannot make it negative (there it is clamped instead).
    """

    log_tau: Tensor

    def __init__(self, config: Albef, *, vocab_size: int, height: int, width: int, max_tokens: int) -> None:
        super().__init__()
        self.visual_encoder = VisionTransformer(config.vision, height, width, config.compute)
        self.text_encoder = TextEncoder(config.text, vocab_size, max_tokens, config.vision.width, config.compute)
        self.vision_proj = nn.Linear(config.vision.width, config.embed_dim)
        self.text_proj = nn.Linear(config.text.width, config.embed_dim)
        self.itm_head = nn.Linear(config.text.width, 2)
        self.compute = config.compute
        compile_layers(config.compute, (*self.visual_encoder.blocks, *self.text_encoder.layer))
        self.log_tau = nn.Parameter(torch.tensor(math.log(config.tau)))

    @property
    def tau(self) -> Tensor:
        """Temperature, kept in [0.001, 0.5] as in ALBEF."""
        return self.log_tau.exp().clamp(0.001, 0.5)

    def encode_image(self, images: Tensor) -> Encoded:
        """Normalised images [B, 3, H, W] -> image tokens and unit embeddings."""
        with autocast(self.compute, images):
            states = self.visual_encoder(images)
        return Encoded(states.float(), F.normalize(self.vision_proj(states[:, 0].float()), dim=-1))

    def encode_text(self, tokens: Tensor) -> Encoded:
        """Token ids [B, L], 0 = padding -> text states and unit embeddings."""
        with autocast(self.compute, tokens):
            states = self.text_encoder(tokens)
        return Encoded(states.float(), F.normalize(self.text_proj(states[:, 0].float()), dim=-1))

    def match(self, image_states: Tensor, text_states: Tensor, tokens: Tensor) -> Tensor:
        """Matching logits [B, 2] of B pairs; column 1 is "they match"."""
        with autocast(self.compute, tokens):
            logits: Tensor = self.itm_head(self.text_encoder.fuse(text_states, tokens, image_states)[:, 0])
        return logits.float()

    def predict_tokens(self, tokens: Tensor, image_states: Tensor, where: Tensor) -> Tensor:
        """MLM logits [n, vocabulary] at the n positions that the boolean mask `where` [B, L] selects."""
        with autocast(self.compute, tokens):
            fused = self.text_encoder.fuse(self.text_encoder(tokens), tokens, image_states)
            logits: Tensor = self.text_encoder.predictions(fused[where])
        return logits.float()

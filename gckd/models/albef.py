"""ALBEF: encoders, projections to the joint space, matching head and MLM head in one module."""

from __future__ import annotations

import copy

from torch import Tensor, nn
from torch.nn import functional as F

from gckd.config.backbone import Albef
from gckd.models.base import BACKBONES, Backbone, Encoded, InputSizes, layer_norms, log_temperature
from gckd.models.checkpoint_file import CheckpointFile, Weights, read_checkpoint
from gckd.models.compute import autocast, compile_layers
from gckd.models.text import TextEncoder
from gckd.models.vision import VisionTransformer
from gckd.models.weights import KeyReport, fit_weights, load_weights, momentum_copies, refuse_misfit


@BACKBONES.register(Albef)
class AlbefBackbone(Backbone):
    """Image and text encoders with a joint space of width d, a fusion encoder, a matching head and an MLM head.

    Source: Li et al., "Align before Fuse", NeurIPS 2021; salesforce/ALBEF at b9727e4. Differs: log(tau) is learned
    instead of tau, so that no optimiser step can make tau negative (ALBEF clamps tau after each step).
    """

    has_matching_head = has_mlm_head = True

    def __init__(self, config: Albef, inputs: InputSizes) -> None:
        super().__init__()
        self.config, self.embed_dim = config, config.embed_dim
        self.grid = inputs.height // config.vision.patch, inputs.width // config.vision.patch
        self.visual_encoder = VisionTransformer(config.vision, inputs.height, inputs.width, config.compute)
        self.text_encoder = TextEncoder(
            config.text, inputs.vocabulary.size, inputs.max_tokens, config.vision.width, config.compute
        )
        self.vision_proj = nn.Linear(config.vision.width, config.embed_dim)
        self.text_proj = nn.Linear(config.text.width, config.embed_dim)
        self.itm_head = nn.Linear(config.text.width, 2)
        self.compute = config.compute
        compile_layers(config.compute, (*self.visual_encoder.blocks, *self.text_encoder.layer))
        self.log_tau = log_temperature(config.tau)

    def encode_image(self, images: Tensor) -> Encoded:
        with autocast(self.compute, images):
            states = self.visual_encoder(images)
        return Encoded(states.float(), self._image_embedding(states))

    def encode_text(self, tokens: Tensor) -> Encoded:
        with autocast(self.compute, tokens):
            states = self.text_encoder(tokens)
        return Encoded(states.float(), self._text_embedding(states))

    def embed_image(self, images: Tensor) -> Tensor:
        with autocast(self.compute, images):
            states = self.visual_encoder(images, class_token_only=True)
        return self._image_embedding(states)

    def embed_text(self, tokens: Tensor) -> Tensor:
        with autocast(self.compute, tokens):
            states = self.text_encoder(tokens, class_token_only=True)
        return self._text_embedding(states)

    def _image_embedding(self, states: Tensor) -> Tensor:
        return F.normalize(self.vision_proj(states[:, 0].float()), dim=-1)

    def _text_embedding(self, states: Tensor) -> Tensor:
        return F.normalize(self.text_proj(states[:, 0].float()), dim=-1)

    def match(self, image_states: Tensor, text_states: Tensor, tokens: Tensor, images: Tensor | None = None) -> Tensor:
        with autocast(self.compute, tokens):
            logits: Tensor = self.itm_head(self.text_encoder.fuse(text_states, tokens, image_states, images)[:, 0])
        return logits.float()

    def predict_tokens(self, tokens: Tensor, image_states: Tensor | None, positions: Tensor) -> Tensor:
        with autocast(self.compute, tokens):
            states = self.text_encoder(tokens)
            if image_states is not None:
                states = self.text_encoder.fuse(states, tokens, image_states)
            logits: Tensor = self.text_encoder.predictions(states[positions])
        return logits.float()

    def word_embeddings(self) -> Tensor:
        weight: Tensor = self.text_encoder.embeddings.word_embeddings.weight
        return weight

    def text_layer_norms(self) -> list[nn.LayerNorm]:
        text = self.text_encoder
        return layer_norms(text.embeddings, *text.layer[: text.depth])

    def load_initial_weights(self) -> Backbone:
        if not self.config.weights:
            return self
        file, momentum_model = read_checkpoint(self.config.weights), copy.deepcopy(self)
        self.load_notes = _notes(file, self.load_published(file.weights, strict=self.config.strict))
        momentum_model.load_published(momentum_copies(file.weights), strict=self.config.strict)
        return momentum_model

    def check_initial_weights(self) -> tuple[str, ...]:
        if not self.config.weights:
            return ()
        file = read_checkpoint(self.config.weights)
        report, _ = fit_weights(self.state_dict(), file.weights, self.grid, self.config.positions)
        refuse_misfit(report, self.config.strict)
        return _notes(file, report)

    def load_published(self, weights: Weights, *, strict: bool) -> KeyReport:
        """Load published weights; position embeddings are resized to this model's images. See `load_weights`."""
        return load_weights(self, weights, self.grid, self.config.positions, strict)


def _notes(file: CheckpointFile, report: KeyReport) -> tuple[str, ...]:
    return tuple(f"backbone.weights: {line}" for line in (*file.notes, *report.summary()))

"""CLIP from transformers, with an optional small fusion head for matching."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel
from transformers.models.bert.configuration_bert import BertConfig

from gckd.config.backbone import Clip
from gckd.models.base import BACKBONES, Backbone, Encoded, InputSizes, layer_norms, log_temperature
from gckd.models.compute import autocast
from gckd.models.hub import apply_compute, check_fits_checkpoint, from_folder_or_hub, tower_sizes
from gckd.models.text import FusionLayer
from gckd.models.vision import ClipPixels


@BACKBONES.register(Clip)
class ClipBackbone(Backbone):
    """CLIP (Radford et al., ICML 2021) as transformers implements it (`CLIPModel`). It has no MLM head.

    Differs: CLIP has no fusion encoder. With `fusion_depth` > 0, that many BERT layers with cross-attention to the
    image follow the text encoder, and the matching head reads their end token (ours, from random weights). With 0 there
    is no matching head.
    """

    def __init__(self, config: Clip, inputs: InputSizes) -> None:
        super().__init__()
        if config.weights:
            self.clip = from_folder_or_hub(CLIPModel, config.weights)
        else:
            self.clip = CLIPModel(_random_config(config, inputs))
        text, image = self.clip.config.text_config, self.clip.config.vision_config
        check_fits_checkpoint(text, image.patch_size, inputs)
        apply_compute(self.clip, config.compute, (self.clip.vision_model.encoder, self.clip.text_model.encoder))
        self.embed_dim, self.end, self.compute = self.clip.config.projection_dim, inputs.vocabulary.end, config.compute
        self.pixels, self.has_matching_head = ClipPixels(), config.fusion_depth > 0
        bert = BertConfig(
            hidden_size=text.hidden_size,
            num_attention_heads=text.num_attention_heads,
            intermediate_size=text.intermediate_size,
        )
        self.fusion = nn.ModuleList(FusionLayer(bert, image.hidden_size) for _ in range(config.fusion_depth))
        self.itm_head = nn.Linear(text.hidden_size, 2) if self.has_matching_head else None
        # A checkpoint contains its temperature: logits are exp(logit_scale) x cosine.
        scale = self.clip.logit_scale.requires_grad_(False)
        self.log_tau = nn.Parameter(-scale.clone()) if config.weights else log_temperature(config.tau)

    def encode_image(self, images: Tensor) -> Encoded:
        with autocast(self.compute, images):
            output = self.clip.get_image_features(self.pixels(images), interpolate_pos_encoding=True)
        return Encoded(output.last_hidden_state.float(), F.normalize(output.pooler_output.float(), dim=-1))

    def encode_text(self, tokens: Tensor) -> Encoded:
        # Attention is causal, so the end token does not depend on the padding behind it.
        with autocast(self.compute, tokens):
            states = self.clip.text_model(tokens).last_hidden_state
            z = self.clip.text_projection(states[torch.arange(len(tokens), device=tokens.device), self._ends(tokens)])
        return Encoded(states.float(), F.normalize(z.float(), dim=-1))

    def word_embeddings(self) -> Tensor:
        weight: Tensor = self.clip.text_model.embeddings.token_embedding.weight
        return weight

    def text_layer_norms(self) -> list[nn.LayerNorm]:
        return layer_norms(self.clip.text_model)

    def match(self, image_states: Tensor, text_states: Tensor, tokens: Tensor, images: Tensor | None = None) -> Tensor:
        if self.itm_head is None:
            return super().match(image_states, text_states, tokens, images)
        ends, states = self._ends(tokens), text_states
        mask = torch.arange(tokens.shape[1], device=tokens.device) <= ends[:, None]
        with autocast(self.compute, tokens):
            for layer in self.fusion:
                states = layer(states, mask[:, None, None], image_states, images)
            logits: Tensor = self.itm_head(states[torch.arange(len(tokens), device=tokens.device), ends])
        return logits.float()

    def notes(self) -> tuple[str, ...]:
        head = (
            f"matching by a fusion head of {len(self.fusion)} layers (ours)"
            if self.has_matching_head
            else "no matching"
        )
        return (f"backbone clip: {head}, no masked language modelling",)

    def _ends(self, tokens: Tensor) -> Tensor:
        """Position of the (first) end token of each caption: [B]."""
        return (tokens == self.end).int().argmax(1)


def _random_config(config: Clip, inputs: InputSizes) -> CLIPConfig:
    vocabulary = inputs.vocabulary
    text = {"vocab_size": vocabulary.size, "max_position_embeddings": inputs.max_tokens, "eos_token_id": vocabulary.end}
    image = {"image_size": inputs.height, "patch_size": config.patch}
    return CLIPConfig(
        text_config=tower_sizes(config.text) | text | {"bos_token_id": None, "pad_token_id": 0},
        vision_config=tower_sizes(config.vision) | image,
        projection_dim=config.embed_dim,
    )

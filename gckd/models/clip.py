"""CLIP by transformers, with an optional small fusion head: a backbone without ALBEF's fusion encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel
from transformers.models.bert.configuration_bert import BertConfig

from gckd.config.backbone import Clip
from gckd.data.types import Vocabulary
from gckd.models.base import Backbone, Encoded, layer_norms, log_temperature
from gckd.models.compute import autocast
from gckd.models.hub import from_folder_or_hub, require_fit, speed_up, tower_sizes
from gckd.models.text import FusionLayer
from gckd.models.vision import ClipPixels


class ClipBackbone(Backbone):
    """Radford et al., ICML 2021, as transformers computes it (`CLIPModel`).

    CLIP has no fusion encoder: with `fusion_depth` > 0, that many BERT layers with cross-attention stand on its text
    states, from random weights, and their end token is matched (ours); with 0 there is no matching. There is no MLM.
    """

    predicts = False

    def __init__(self, config: Clip, *, vocabulary: Vocabulary, height: int, width: int, max_tokens: int) -> None:
        super().__init__()
        if config.weights:
            self.clip = from_folder_or_hub(CLIPModel, config.weights)
        else:
            self.clip = CLIPModel(_random(config, vocabulary, height, max_tokens))
        sizes = self.clip.config
        patch = sizes.vision_config.patch_size
        require_fit(sizes.text_config, patch, vocabulary, (height, width), max_tokens)
        speed_up(self.clip, config.compute, (self.clip.vision_model.encoder, self.clip.text_model.encoder))
        self.embed_dim, self.end, self.compute = sizes.projection_dim, vocabulary.end, config.compute
        self.pixels, self.matches = ClipPixels(), config.fusion_depth > 0
        text, image = sizes.text_config, sizes.vision_config
        bert = BertConfig(
            hidden_size=text.hidden_size,
            num_attention_heads=text.num_attention_heads,
            intermediate_size=text.intermediate_size,
        )
        self.fusion = nn.ModuleList(FusionLayer(bert, image.hidden_size) for _ in range(config.fusion_depth))
        self.itm_head = nn.Linear(text.hidden_size, 2) if self.matches else None
        # The checkpoint's own temperature: logits are exp(logit_scale) x cosine.
        scale = self.clip.logit_scale.requires_grad_(False)
        self.log_tau = nn.Parameter(-scale.clone()) if config.weights else log_temperature(config.tau)

    def encode_image(self, images: Tensor) -> Encoded:
        with autocast(self.compute, images):
            found = self.clip.get_image_features(self.pixels(images), interpolate_pos_encoding=True)
        return Encoded(found.last_hidden_state.float(), F.normalize(found.pooler_output.float(), dim=-1))

    def encode_text(self, tokens: Tensor) -> Encoded:
        # Attention is causal, so what stands behind the end token does not reach it.
        with autocast(self.compute, tokens):
            states = self.clip.text_model(tokens).last_hidden_state
            z = self.clip.text_projection(states[torch.arange(len(tokens), device=tokens.device), self._ends(tokens)])
        return Encoded(states.float(), F.normalize(z.float(), dim=-1))

    def words(self) -> nn.Parameter:
        found: nn.Parameter = self.clip.text_model.embeddings.token_embedding.weight
        return found

    def text_norms(self) -> list[nn.LayerNorm]:
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
        head = f"matching by a fusion head of {len(self.fusion)} layers (ours)" if self.matches else "no matching"
        return (f"backbone clip: {head}, no masked language modelling",)

    def _ends(self, tokens: Tensor) -> Tensor:
        """Where each caption's (first) end token stands: [B]."""
        return (tokens == self.end).int().argmax(1)


def _random(config: Clip, vocabulary: Vocabulary, height: int, max_tokens: int) -> CLIPConfig:
    text = {"vocab_size": vocabulary.size, "max_position_embeddings": max_tokens, "eos_token_id": vocabulary.end}
    image = {"image_size": height, "patch_size": config.patch}
    return CLIPConfig(
        text_config=tower_sizes(config.text) | text | {"bos_token_id": None, "pad_token_id": 0},
        vision_config=tower_sizes(config.vision) | image,
        projection_dim=config.embed_dim,
    )

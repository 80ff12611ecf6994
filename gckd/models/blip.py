"""BLIP's image-text-retrieval model by transformers."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BlipConfig, BlipForImageTextRetrieval

from gckd.config.backbone import Blip
from gckd.data.types import Vocabulary
from gckd.models.base import Backbone, Encoded, layer_norms, log_temperature
from gckd.models.compute import autocast
from gckd.models.hub import from_folder_or_hub, require_fit, speed_up, tower_sizes
from gckd.models.vision import ClipPixels, init_std


class BlipBackbone(Backbone):
    """Li et al., ICML 2022, as transformers computes it (`BlipForImageTextRetrieval`).

    One text encoder reads captions alone, or with cross-attention to the image in every layer; the matching head reads
    the latter. The retrieval model has no MLM head. Its temperature is not in the checkpoint.
    """

    matches, predicts = True, False

    def __init__(self, config: Blip, *, vocabulary: Vocabulary, height: int, width: int, max_tokens: int) -> None:
        super().__init__()
        if config.weights:
            self.blip = from_folder_or_hub(BlipForImageTextRetrieval, config.weights)
        else:
            self.blip = BlipForImageTextRetrieval(_random(config, vocabulary, height, max_tokens))
        sizes = self.blip.config
        patch = sizes.vision_config.patch_size
        require_fit(sizes.text_config, patch, vocabulary, (height, width), max_tokens)
        speed_up(self.blip, config.compute, (self.blip.vision_model.encoder, self.blip.text_encoder.encoder))
        self.embed_dim, self.compute, self.pixels = self.blip.vision_proj.out_features, config.compute, ClipPixels()
        self.log_tau = log_temperature(config.tau)

    def encode_image(self, images: Tensor) -> Encoded:
        with autocast(self.compute, images):
            states = self.blip.vision_model(self.pixels(images), interpolate_pos_encoding=True).last_hidden_state
        return Encoded(states.float(), F.normalize(self.blip.vision_proj(states[:, 0].float()), dim=-1))

    def encode_text(self, tokens: Tensor) -> Encoded:
        with autocast(self.compute, tokens):
            states = self.blip.text_encoder(tokens, attention_mask=(tokens != 0).long()).last_hidden_state
        return Encoded(states.float(), F.normalize(self.blip.text_proj(states[:, 0].float()), dim=-1))

    def words(self) -> nn.Parameter:
        found: nn.Parameter = self.blip.text_encoder.embeddings.word_embeddings.weight
        return found

    def text_norms(self) -> list[nn.LayerNorm]:
        text = self.blip.text_encoder
        with_image = {norm for layer in text.encoder.layer for norm in layer_norms(layer.crossattention)}
        return [norm for norm in layer_norms(text.embeddings, text.encoder) if norm not in with_image]

    def match(self, image_states: Tensor, text_states: Tensor, tokens: Tensor, images: Tensor | None = None) -> Tensor:
        """Reads the tokens again, with the image; the states of the caption alone play no part."""
        image_states = image_states if images is None else image_states[images]
        with autocast(self.compute, tokens):
            fused = self.blip.text_encoder(
                tokens, attention_mask=(tokens != 0).long(), encoder_hidden_states=image_states
            ).last_hidden_state
            logits: Tensor = self.blip.itm_head(fused[:, 0])
        return logits.float()

    def notes(self) -> tuple[str, ...]:
        return ("backbone blip: no masked language modelling",)


def _random(config: Blip, vocabulary: Vocabulary, height: int, max_tokens: int) -> BlipConfig:
    text: dict[str, float] = {"vocab_size": vocabulary.size, "max_position_embeddings": max_tokens, "pad_token_id": 0}
    text |= {"encoder_hidden_size": config.vision.width, "initializer_range": init_std(config.text.width)}
    image: dict[str, float] = {"image_size": height, "patch_size": config.patch}
    image |= {"initializer_range": init_std(config.vision.width)}  # transformers starts it at 1e-10
    return BlipConfig(
        text_config=tower_sizes(config.text) | text,
        vision_config=tower_sizes(config.vision) | image,
        image_text_hidden_size=config.embed_dim,
    )

"""BLIP's image-text retrieval model from transformers."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BlipConfig, BlipForImageTextRetrieval

from gckd.config.backbone import Blip
from gckd.models.base import BACKBONES, Backbone, Encoded, InputSizes, layer_norms, log_temperature
from gckd.models.compute import autocast
from gckd.models.hub import apply_compute, check_fits_checkpoint, from_folder_or_hub, tower_sizes
from gckd.models.vision import ClipPixels, init_std


@BACKBONES.register(Blip)
class BlipBackbone(Backbone):
    """BLIP (Li et al., ICML 2022) as transformers implements it (`BlipForImageTextRetrieval`).

    One text encoder reads captions alone, or with cross-attention to the image in every layer; the matching head reads
    the second form. The retrieval model has no MLM head, and its checkpoint contains no temperature.
    """

    has_matching_head = True

    def __init__(self, config: Blip, inputs: InputSizes) -> None:
        super().__init__()
        if config.weights:
            self.blip = from_folder_or_hub(BlipForImageTextRetrieval, config.weights)
        else:
            self.blip = BlipForImageTextRetrieval(_random_config(config, inputs))
        sizes = self.blip.config
        check_fits_checkpoint(sizes.text_config, sizes.vision_config.patch_size, inputs)
        apply_compute(self.blip, config.compute, (self.blip.vision_model.encoder, self.blip.text_encoder.encoder))
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

    def word_embeddings(self) -> Tensor:
        weight: Tensor = self.blip.text_encoder.embeddings.word_embeddings.weight
        return weight

    def text_layer_norms(self) -> list[nn.LayerNorm]:
        text = self.blip.text_encoder
        cross_attention = {norm for layer in text.encoder.layer for norm in layer_norms(layer.crossattention)}
        return [norm for norm in layer_norms(text.embeddings, text.encoder) if norm not in cross_attention]

    def match(self, image_states: Tensor, text_states: Tensor, tokens: Tensor, images: Tensor | None = None) -> Tensor:
        """As in `Backbone`; the text encoder reads the tokens again with the image, so `text_states` is unused."""
        image_states = image_states if images is None else image_states[images]
        with autocast(self.compute, tokens):
            fused = self.blip.text_encoder(
                tokens, attention_mask=(tokens != 0).long(), encoder_hidden_states=image_states
            ).last_hidden_state
            logits: Tensor = self.blip.itm_head(fused[:, 0])
        return logits.float()

    def notes(self) -> tuple[str, ...]:
        return ("backbone blip: no masked language modelling",)


def _random_config(config: Blip, inputs: InputSizes) -> BlipConfig:
    text: dict[str, float] = {"vocab_size": inputs.vocabulary.size, "max_position_embeddings": inputs.max_tokens}
    text |= {"pad_token_id": 0, "encoder_hidden_size": config.vision.width}
    text |= {"initializer_range": init_std(config.text.width)}
    image: dict[str, float] = {"image_size": inputs.height, "patch_size": config.patch}
    image |= {"initializer_range": init_std(config.vision.width)}  # the default of transformers is 1e-10
    return BlipConfig(
        text_config=tower_sizes(config.text) | text,
        vision_config=tower_sizes(config.vision) | image,
        image_text_hidden_size=config.embed_dim,
    )

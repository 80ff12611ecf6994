"""Backbone: a small convolutional image encoder and a bag of words, without a fusion encoder."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gckd.extend import BACKBONES, Backbone, BackboneConfig, Encoded, InputSizes, layer_norms, log_temperature, option


@dataclass(frozen=True)
class BagOfWords(BackboneConfig):
    """Convolutions for images, the mean of word embeddings for texts."""

    kind: ClassVar[str] = "bag-of-words"
    width: int = option(16, "embedding width", ge=8, le=1024)

    @property
    def has_fusion(self) -> bool:
        return False


@BACKBONES.register(BagOfWords)
class BagOfWordsBackbone(Backbone):
    def __init__(self, config: BagOfWords, inputs: InputSizes) -> None:
        super().__init__()
        self.embed_dim = config.width
        self.patches = nn.Conv2d(3, config.width, kernel_size=4, stride=4)
        self.image = nn.Linear(config.width, config.width)
        self.words = nn.Embedding(inputs.vocabulary.size, config.width, padding_idx=0)
        self.norm = nn.LayerNorm(config.width)
        self.log_tau = log_temperature(0.07)

    def encode_image(self, images: Tensor) -> Encoded:
        states = torch.relu(self.patches(images)).flatten(2).transpose(1, 2)
        return Encoded(states, F.normalize(self.image(states.mean(1)), dim=1))

    def encode_text(self, tokens: Tensor) -> Encoded:
        states = self.norm(self.words(tokens))
        known = (tokens > 0).to(states.dtype)[:, :, None]
        return Encoded(states, F.normalize((states * known).sum(1) / known.sum(1), dim=1))

    def word_embeddings(self) -> nn.Parameter:
        return self.words.get_parameter("weight")

    def text_layer_norms(self) -> list[nn.LayerNorm]:
        return layer_norms(self.norm)

"""A backbone that is defined outside the package works like the built-in ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gckd.config import apply, preset
from gckd.config.component import BackboneConfig
from gckd.config.distill import NoMatching
from gckd.config.fields import ConfigError, option
from gckd.data.types import Vocabulary
from gckd.models.base import BACKBONES, Backbone, Encoded, InputSizes, log_temperature
from gckd.models.build import build_model, initial_models

VOCABULARY = Vocabulary(30, end=3)


class MeanPoolingBackbone(Backbone):
    """Mean pixel colour and mean word embedding, each in a joint space of width d."""

    def __init__(self, width: int, inputs: InputSizes) -> None:
        super().__init__()
        self.embed_dim = width
        self.image_proj = nn.Linear(3, width)
        self.words = nn.Embedding(inputs.vocabulary.size, width)
        self.text_norm = nn.LayerNorm(width)
        self.log_tau = log_temperature(0.07)

    def encode_image(self, images: Tensor) -> Encoded:
        states = self.image_proj(images.mean((2, 3)))[:, None]
        return Encoded(states, F.normalize(states[:, 0], dim=-1))

    def encode_text(self, tokens: Tensor) -> Encoded:
        states = self.text_norm(self.words(tokens)) * (tokens != 0)[:, :, None]
        return Encoded(states, F.normalize(states.sum(1), dim=-1))

    def word_embeddings(self) -> Tensor:
        return self.words.weight

    def text_layer_norms(self) -> list[nn.LayerNorm]:
        return [self.text_norm]


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> BackboneConfig:
    """A config node of a new kind; the slot forgets it after the test."""
    monkeypatch.setattr(BackboneConfig, "_choices", dict(BackboneConfig._choices))
    monkeypatch.setattr(BACKBONES, "_builders", dict(BACKBONES._builders))

    @dataclass(frozen=True)
    class MeanPooling(BackboneConfig):
        """Mean pooling of pixels and words."""

        kind: ClassVar[str] = "mean-pooling"
        width: int = option(8, "d: width of the joint embedding", ge=2, le=64)

    return MeanPooling(width=12)


def test_a_registered_backbone_is_built_from_its_config(node: BackboneConfig) -> None:
    @BACKBONES.register(type(node))
    def build(config: BackboneConfig, inputs: InputSizes) -> Backbone:
        return MeanPoolingBackbone(config.width, inputs)  # type: ignore[attr-defined]

    config = apply(preset("tiny"), {"backbone": node, "distill.matching": NoMatching()})
    model, momentum_model = initial_models(config, VOCABULARY)
    assert isinstance(model, MeanPoolingBackbone) and momentum_model is model
    tokens = torch.tensor([[2, 7, 9, 3, 0], [2, 8, 3, 0, 0]])
    text, image = model.encode_text(tokens), model.encode_image(torch.rand(4, 3, 6, 6) * 2 - 1)
    assert (text.states.shape, text.embedding.shape, image.embedding.shape) == ((2, 5, 12), (2, 12), (4, 12))
    torch.testing.assert_close(text.embedding.norm(dim=1), torch.ones(2))
    assert model.tau.item() == pytest.approx(0.07)
    assert model.word_embeddings().shape == (30, 12)
    with pytest.raises(NotImplementedError, match="MeanPoolingBackbone has no matching head"):
        model.match(image.states[:2], text.states, tokens)


def test_a_config_without_a_registered_backbone_is_refused(node: BackboneConfig) -> None:
    config = apply(preset("tiny"), {"backbone": node, "distill.matching": NoMatching()})
    with pytest.raises(ConfigError, match="no class is registered for kind 'mean-pooling'"):
        build_model(config, VOCABULARY)

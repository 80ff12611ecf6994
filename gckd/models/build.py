"""Construction of backbones from a config, with random or published weights."""

from __future__ import annotations

import torch

from gckd.config.schema import Config
from gckd.data.types import Vocabulary
from gckd.models import albef, blip, clip  # noqa: F401  # they register their backbones
from gckd.models.base import BACKBONES, Backbone, InputSizes
from gckd.seeding import derived_seed


def build_model(config: Config, vocabulary: Vocabulary) -> Backbone:
    """The backbone of a config. Random weights are a function of the config's seed.

    Weights of transformers models are loaded here, weights of ALBEF by `initial_models`.

    Raises:
        InputError: `backbone.weights` cannot be read or does not fit.
    """
    torch.manual_seed(derived_seed(config.seed, "weights"))
    inputs = InputSizes(vocabulary, config.data.height, config.data.width, config.data.max_tokens)
    return BACKBONES.build(config.backbone, inputs)


def check_initial_weights(config: Config, vocabulary: Vocabulary) -> tuple[str, ...]:
    """Report on the checkpoint file that the config names, one line each; nothing is loaded into a model.

    Raises:
        InputError: `backbone.weights` cannot be read or does not fit.
    """
    if not (config.backbone.weights and config.backbone.weights_are_a_file):
        return ()
    with torch.device("meta"):
        model = build_model(config, vocabulary)
    return model.check_initial_weights()


def initial_models(config: Config, vocabulary: Vocabulary) -> tuple[Backbone, Backbone]:
    """The backbone with all weights that the config names, and the model that its momentum model starts from.

    The two are one object unless the checkpoint has momentum weights of its own.

    Raises:
        InputError: `backbone.weights` cannot be read or does not fit.
    """
    model = build_model(config, vocabulary)
    return model, model.load_initial_weights()

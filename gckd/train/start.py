"""What the backbone starts from: random weights, or a published checkpoint."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gckd.config.schema import Config
from gckd.errors import InputError
from gckd.model.albef import AlbefModel
from gckd.model.weights import KeyReport, Weights, load_weights, momentum_copies, read_weights
from gckd.train.parts import build_model


def starting_models(config: Config, vocab_size: int) -> tuple[AlbefModel, AlbefModel]:
    """The model, and what a momentum model starts from: the checkpoint's momentum copies, or else the model itself.

    Raises:
        InputError: `backbone.weights` cannot be read or does not fit.
    """
    model = build_model(config, vocab_size)
    if not config.backbone.weights:
        return model, model
    weights, copies = read_weights(Path(config.backbone.weights)), build_model(config, vocab_size)
    fill(model, config, weights, config.backbone.strict)
    fill(copies, config, momentum_copies(weights), config.backbone.strict)
    return model, copies


def fill(model: AlbefModel, config: Config, weights: Weights, strict: bool) -> KeyReport:
    """Load published weights, positions resized to the config's images."""
    patch = config.backbone.vision.patch
    grid = config.data.height // patch, config.data.width // patch
    return load_weights(model, weights, grid, config.backbone.positions, strict)


def file_digest(path: Path) -> str:
    """Names a checkpoint by its content.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise InputError(f"backbone.weights: {path} cannot be read ({error.strerror})") from error

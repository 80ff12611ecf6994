"""What the backbone starts from: random weights, or a published checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch

from gckd.config.backbone import Albef, Blip, Clip
from gckd.config.data import Data
from gckd.config.schema import Config
from gckd.data.types import Vocabulary
from gckd.errors import InputError, reason_of
from gckd.models.albef import AlbefModel
from gckd.models.base import Backbone
from gckd.models.blip import BlipBackbone
from gckd.models.clip import ClipBackbone
from gckd.models.weights import KeyReport, Weights, load_weights, momentum_copies, read_weights
from gckd.seeding import derived_seed


def starting_models(config: Config, vocabulary: Vocabulary) -> tuple[Backbone, Backbone]:
    """The model, and what a momentum model starts from: the checkpoint's momentum copies, or else the model itself.

    Raises:
        InputError: `backbone.weights` cannot be read or does not fit.
    """
    model, node = build_model(config, vocabulary), config.backbone
    if not (isinstance(node, Albef) and node.weights):
        return model, model
    weights, copies = read_weights(node.weights), build_model(config, vocabulary)
    for which, found in ((model, weights), (copies, momentum_copies(weights))):
        assert isinstance(which, AlbefModel)
        fill(which, node, config.data, found, node.strict)
    return model, copies


def fill(model: AlbefModel, node: Albef, data: Data, weights: Weights, strict: bool) -> KeyReport:
    """Load published weights, positions resized to the config's images."""
    grid = data.height // node.vision.patch, data.width // node.vision.patch
    return load_weights(model, weights, grid, node.positions, strict)


def weights_digest(name: str) -> str:
    """Names weights by their content: a file, a folder's weights, or else (none, or of the hub) by their name.

    Raises:
        InputError: the file cannot be read.
    """
    path = Path(name).expanduser()
    if not name or not (path.exists() or path.suffix):
        return name
    files = sorted(path.glob("*.safetensors")) + sorted(path.glob("*.bin")) if path.is_dir() else [path]
    return " ".join(file_digest(file) for file in files)


def file_digest(path: Path) -> str:
    """Names a checkpoint by its content.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise InputError(f"backbone.weights: {path} cannot be read ({reason_of(error)})") from error


_BACKBONES: dict[type, Callable[..., Backbone]] = {Albef: AlbefModel, Clip: ClipBackbone, Blip: BlipBackbone}


def build_model(config: Config, vocabulary: Vocabulary) -> Backbone:
    """A backbone, randomly initialised unless it comes whole from transformers; the same config gives the same one."""
    torch.manual_seed(derived_seed(config.seed, "weights"))
    size = {"height": config.data.height, "width": config.data.width, "max_tokens": config.data.max_tokens}
    model: Backbone = _BACKBONES[type(config.backbone)](config.backbone, vocabulary=vocabulary, **size)
    return model

"""The files that a config names beside its datasets: pretrained weights, and a tokenizer's folder."""

from __future__ import annotations

from pathlib import Path

from gckd.config import Config, ConfigError, apply, value_at
from gckd.config.backbone import Albef
from gckd.config.data import FolderTokenizer


def files_of(config: Config) -> dict[str, str]:
    """Field -> path, absolute, of what lies on this machine; a name that only the hub may know is none.

    Raises:
        ConfigError: ALBEF's weights, which no hub gives, are no file.
    """
    named = {"backbone.weights": config.backbone.weights}
    if isinstance(config.tokenizer, FolderTokenizer):
        named["tokenizer.name"] = config.tokenizer.name
    found = {field: Path(name).expanduser().resolve() for field, name in named.items() if name}
    weights = found.get("backbone.weights")
    if isinstance(config.backbone, Albef) and weights is not None and not weights.is_file():
        raise ConfigError([f"backbone.weights: {weights} is no file; give an ALBEF checkpoint (.pth or .safetensors)"])
    return {field: str(path) for field, path in found.items() if path.exists()}


def with_files(config: Config) -> Config:
    """The config with absolute paths in it, whatever folder a worker runs in.

    Raises:
        ConfigError: see `files_of`.
    """
    return apply(config, {field: path for field, path in files_of(config).items() if path != value_at(config, field)})

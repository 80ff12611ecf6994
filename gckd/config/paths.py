"""The files that a config names beside its datasets: pretrained weights, and a tokenizer's folder."""

from __future__ import annotations

from pathlib import Path

from gckd.config.edit import apply
from gckd.config.fields import ConfigError
from gckd.config.schema import Config
from gckd.config.tree import value_at


def albef_checkpoint(name: str | Path) -> Path:
    """Where an ALBEF checkpoint lies, absolute. A link stays one: what it leads to may have no suffix.

    Raises:
        ConfigError: it is no file; no hub gives ALBEF's weights.
    """
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        raise ConfigError([f"backbone.weights: {path} is no file; give an ALBEF checkpoint (.pth or .safetensors)"])
    return path


def files_of(config: Config) -> dict[str, str]:
    """Field -> path, absolute, of what lies on this machine; a name that only the hub may know is none.

    Raises:
        ConfigError: see `albef_checkpoint`.
    """
    found, weights = dict[str, Path](), config.backbone.weights
    if weights:
        is_file = config.backbone.weights_are_a_file
        found["backbone.weights"] = albef_checkpoint(weights) if is_file else Path(weights).expanduser().absolute()
    if config.tokenizer.pretrained:
        found["tokenizer.name"] = Path(config.tokenizer.pretrained).expanduser().absolute()
    return {field: str(path) for field, path in found.items() if path.exists()}


def with_files(config: Config) -> Config:
    """The config with absolute paths in it, whatever folder a worker runs in.

    Raises:
        ConfigError: see `albef_checkpoint`.
    """
    return apply(config, {field: path for field, path in files_of(config).items() if path != value_at(config, field)})

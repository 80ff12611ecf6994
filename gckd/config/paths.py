"""Local files that a config names beside its datasets: pretrained weights, and the folder of a tokenizer."""

from __future__ import annotations

from pathlib import Path

from gckd.config.edit import apply
from gckd.config.fields import ConfigError
from gckd.config.schema import Config
from gckd.config.tree import value_at
from gckd.storage.path import expanded


def albef_checkpoint(name: str | Path) -> Path:
    """Absolute path of an ALBEF checkpoint. Symbolic links are not resolved: their targets may have no suffix.

    Raises:
        ConfigError: there is no such file. No hub has ALBEF's weights.
    """
    path = expanded(name).absolute()
    if not path.is_file():
        raise ConfigError([f"backbone.weights: {path} is not a file; give an ALBEF checkpoint (.pth or .safetensors)"])
    return path


def local_files(config: Config) -> dict[str, str]:
    """Field -> absolute path, for every such file on this machine. Names on the hub are left out.

    Raises:
        ConfigError: see `albef_checkpoint`.
    """
    paths, weights = dict[str, Path](), config.backbone.weights
    if weights:
        is_file = config.backbone.weights_are_a_file
        paths["backbone.weights"] = albef_checkpoint(weights) if is_file else expanded(weights).absolute()
    if config.tokenizer.pretrained:
        paths["tokenizer.name"] = expanded(config.tokenizer.pretrained).absolute()
    return {field: str(path) for field, path in paths.items() if path.exists()}


def with_absolute_paths(config: Config) -> Config:
    """The config with these paths made absolute, because a worker may run in another folder.

    Raises:
        ConfigError: see `albef_checkpoint`.
    """
    return apply(
        config, {field: path for field, path in local_files(config).items() if path != value_at(config, field)}
    )

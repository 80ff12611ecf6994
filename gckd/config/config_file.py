"""Config files: YAML or JSON."""

from __future__ import annotations

from pathlib import Path

from gckd.config.schema import Config
from gckd.config.serialization import from_yaml
from gckd.errors import InputError, reason_of


def read_config(path: Path) -> Config:
    """Config of a YAML or JSON file.

    Raises:
        InputError: the file cannot be read.
        ConfigError: its content is not a config.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({reason_of(error)})") from error
    config: Config = from_yaml(Config, text)
    return config

"""Typed config of a run, and edits `{path: value}` that make search trials and ablation rows of it."""

from gckd.config.config_file import config_text, read_config
from gckd.config.edit import apply, check, parse_edits
from gckd.config.fields import ConfigError
from gckd.config.presets import PRESETS, preset
from gckd.config.schema import Config
from gckd.config.serialization import decode, digest, encode, from_yaml, to_yaml
from gckd.config.tree import value_at

__all__ = [
    "PRESETS",
    "Config",
    "ConfigError",
    "apply",
    "check",
    "config_text",
    "decode",
    "digest",
    "encode",
    "from_yaml",
    "parse_edits",
    "preset",
    "read_config",
    "to_yaml",
    "value_at",
]

"""One typed config plus `{path: value}` edits: what a run, a search trial and an ablation row are."""

from gckd.config.config_file import config_text, read_config
from gckd.config.edit import apply, check, parse_edits, value_at
from gckd.config.fields import ConfigError
from gckd.config.presets import PRESETS, preset
from gckd.config.schema import Config
from gckd.config.serialization import decode, digest, encode, from_yaml, to_yaml

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

"""Config files: YAML or JSON, with the plugins that were loaded when the file was written as comments at the top."""

from __future__ import annotations

import re
from pathlib import Path

from gckd.config.fields import ConfigError
from gckd.config.schema import Config
from gckd.config.serialization import from_yaml, to_yaml
from gckd.config.yaml_text import MAX_CHARACTERS
from gckd.plugins import loaded_plugins
from gckd.storage.text_file import read_text

CONFIG_FILE = "config.yaml"  # beside a checkpoint, and in the folder of a table
_PLUGIN_LINE = re.compile(r"^# plugin (?P<name>\S+) (?P<digest>[0-9a-f]{16})$", re.MULTILINE)


def config_text(config: Config) -> str:
    """Content of a config file; a line such as `# plugin my_losses.py 3b1f...` for each loaded plugin comes first."""
    head = [f"# plugin {plugin.name} {plugin.digest}\n" for plugin in loaded_plugins()]
    return "".join(head) + to_yaml(config)


def read_config(path: Path) -> Config:
    """Config of a YAML or JSON file.

    Raises:
        InputError: the file cannot be read.
        ConfigError: its content is not a config. If it was written with plugins that are not loaded, they are named.
    """
    text = read_text(path, MAX_CHARACTERS)
    try:
        config: Config = from_yaml(Config, text)
    except ConfigError as error:
        problems = [f"{path}: {problem.removeprefix('config.').removeprefix('config: ')}" for problem in error.problems]
        raise ConfigError([*problems, *_missing_plugins(path, text)]) from error
    return config


def plugin_notes(path: Path) -> list[str]:
    """Differences between the loaded plugins and those that a config file was written with, one line each."""
    text = read_text(path, MAX_CHARACTERS)
    written = _plugins_in(text)
    changed = [p.name for p in loaded_plugins() if written.get(p.name, p.digest) != p.digest]
    return [*(f"{path}: plugin {name} has changed since" for name in changed), *_missing_plugins(path, text)]


def _missing_plugins(path: Path, text: str) -> list[str]:
    loaded = {plugin.name for plugin in loaded_plugins()}
    names = [name for name in _plugins_in(text) if name not in loaded]
    files = " ".join(f"--plugin {name}" if name.endswith(".py") else f"(installed package {name})" for name in names)
    return [f"{path}: written with plugins that are not loaded; add {files}"] if names else []


def _plugins_in(text: str) -> dict[str, str]:
    return {match["name"]: match["digest"] for match in _PLUGIN_LINE.finditer(text)}

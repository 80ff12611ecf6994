"""Options that several commands share, and the config they come to."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import platformdirs

from gckd.config import PRESETS, Config, ConfigError, apply, check, parse_edits, preset
from gckd.config.presets import tiny
from gckd.report.read import read_config

Command = Callable[..., Any]

cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="GCKD_CACHE",
    default=lambda: Path(platformdirs.user_cache_dir("gckd")),
    show_default="the user's cache folder",
    help="Folder of stores, vocabularies and source models, shared by all runs.  [env var: GCKD_CACHE]",
)

set_option = click.option(
    "--set", "assignments", multiple=True, metavar="PATH=VALUE", help="Edit of the config, for example adapt.steps=100."
)


def config_options(command: Command) -> Command:
    """--config, --preset, --source, --target and --set; the command gets `config`, resolved and checked."""

    @set_option
    @click.option("--target", metavar="DATASET", help="Unlabelled target: a folder, or FORMAT:FOLDER.")
    @click.option("--source", metavar="DATASET", help="Labelled source: a folder, or FORMAT:FOLDER.")
    @click.option("--preset", "preset_name", metavar="NAME", help=f"One of {', '.join(PRESETS)}.  [default: tiny]")
    @click.option("--config", "config_file", type=click.Path(path_type=Path), help="Config in YAML or JSON.")
    @functools.wraps(command)
    def with_config(
        *args: Any,
        config_file: Path | None,
        preset_name: str | None,
        source: str | None,
        target: str | None,
        assignments: tuple[str, ...],
        **kwargs: Any,
    ) -> Any:
        config = resolve(config_file, preset_name, source, target, assignments)
        return command(*args, config=config, **kwargs)

    return with_config


def resolve(
    config_file: Path | None,
    preset_name: str | None,
    source: str | None,
    target: str | None,
    assignments: tuple[str, ...],
) -> Config:
    """The config that the options come to.

    Raises:
        ConfigError: two options say the same thing, or an edit is refused.
    """
    if config_file and preset_name:
        raise ConfigError(["--preset: it conflicts with --config, which is a whole config"])
    edits = parse_edits(assignments)
    for side, spec in (("source", source), ("target", target)):
        if spec is not None:
            if f"data.{side}" in edits:
                raise ConfigError([f"--set data.{side}: it conflicts with --{side}"])
            edits[f"data.{side}"] = spec
    config = read_config(config_file) if config_file else preset(preset_name) if preset_name else tiny()
    return apply(config, edits) if edits else check(config)


def threads_for_torch() -> int:
    """Threads of a single run in this process: OMP_NUM_THREADS, or all cores."""
    from gckd.dist.cluster import cores

    return int(os.environ.get("OMP_NUM_THREADS", "") or cores())

"""Options shared by several commands, and the config that they describe."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gckd.cli.parameter_types import LocalPath
from gckd.config import PRESETS, Config, ConfigError, apply, check, parse_edits, preset, read_config
from gckd.config.config_file import CONFIG_FILE, plugin_notes
from gckd.config.edit import effective_edits
from gckd.config.presets import tiny
from gckd.plugins import load_entry_points, load_plugin
from gckd.runs.environment import omp_threads
from gckd.storage.cache import USER_CACHE, CachePath
from gckd.storage.path import StoragePath

Command = Callable[..., Any]
LateConfig = Callable[[Callable[[], Config] | None], Config]  # argument: `fitted` of `resolve`


class LateHelpOption(click.Option):
    """Option whose help text is made when it is shown, with the names that plugins have added by then.

    Args:
        late_help: makes the help text.
    """

    def __init__(self, *arguments: Any, late_help: Callable[[], str], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._late_help = late_help

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Option and help text, as click lists them."""
        self.help = self._late_help()
        return super().get_help_record(ctx)


_PRESET_HELP = "Config: tiny (minutes on two cores) or base (the paper's, for a GPU).  [default: tiny]"
_CONFIG_HELP = "Config from a YAML or JSON file, instead of --preset."


def _source_help() -> str:
    from gckd.data.readers import READERS

    return f"Labelled source dataset: FOLDER, FORMAT:FOLDER, or the URI of a store.  Formats: {', '.join(READERS)}."


cache_option = click.option(
    "--cache",
    metavar="FOLDER|URI",
    callback=lambda context, option, value: CachePath.at(value),
    envvar="GCKD_CACHE",
    default=lambda: str(USER_CACHE),
    show_default="the user's cache folder",
    help="Cache of stores, vocabularies and source models, shared by all runs: a folder, or s3://BUCKET/NAME.  "
    "[env var: GCKD_CACHE]",
)


def _checked_trackers(_context: click.Context, _option: click.Parameter, specs: tuple[str, ...]) -> tuple[str, ...]:
    from gckd.runs.tracker import check_trackers

    check_trackers(specs)
    return specs


track_option = click.option(
    "--track",
    multiple=True,
    metavar="KIND[:WHERE]",
    callback=_checked_trackers,
    help="Also log to tensorboard[:FOLDER], mlflow[:FOLDER|URI] or wandb[:PROJECT]. Files go to the output by default. "
    " [repeatable]",
)

set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="PATH=VALUE",
    help="Set a config field, for example adapt.steps=100; `gckd config` lists the fields.  [repeatable]",
)


def _load_plugins(context: click.Context, _option: click.Parameter, files: tuple[str, ...]) -> None:
    if context.resilient_parsing:  # a shell completes the command: no code of the user may run
        return
    load_entry_points()
    for file in files:
        load_plugin(file)


# Eager: other options may name what a plugin defines.
plugin_option = click.option(
    "--plugin",
    multiple=True,
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_load_plugins,
    help="Python file with components of your own, for example a loss.  [repeatable]",
)


def config_options(command: Command) -> Command:
    """Options --config, --preset, --source, --target, --set and --plugin. The command gets a checked `config`."""

    @late_config_options
    @functools.wraps(command)
    def with_config(*args: Any, config: LateConfig, **kwargs: Any) -> Any:
        return command(*args, config=config(None), **kwargs)

    return with_config


def late_config_options(command: Command) -> Command:
    """The options of `config_options`. The command gets a function `config` of type `LateConfig`."""

    @click.option("--preset", "preset_name", metavar="|".join(PRESETS), help=_PRESET_HELP)
    @click.option("--config", "config_file", metavar="FILE", type=LocalPath(), help=_CONFIG_HELP)
    @click.option("--source", metavar="DATASET", cls=LateHelpOption, late_help=_source_help)
    @click.option("--target", metavar="DATASET", help="Unlabelled target dataset, in the same forms as --source.")
    @set_option
    @plugin_option
    @functools.wraps(command)
    def with_late_config(
        *args: Any,
        config_file: Path | None,
        preset_name: str | None,
        source: str | None,
        target: str | None,
        assignments: tuple[str, ...],
        **kwargs: Any,
    ) -> Any:
        def config(fitted: Callable[[], Config] | None) -> Config:
            return resolve(config_file, preset_name, source, target, assignments, fitted)

        return command(*args, config=config, **kwargs)

    return with_late_config


def resolve(
    config_file: Path | None,
    preset_name: str | None,
    source: str | None,
    target: str | None,
    assignments: tuple[str, ...],
    fitted: Callable[[], Config] | None = None,
) -> Config:
    """The config that the options describe.

    Args:
        fitted: makes the config where neither a file nor a preset is given, instead of `tiny`. Edits may repeat its
            values, which the user has not seen.

    Raises:
        ConfigError: two options set the same field, or an edit is refused.
    """
    if config_file and preset_name:
        raise ConfigError(["--preset: conflicts with --config; give one of the two"])
    edits = parse_edits(assignments)
    for domain, spec in (("source", source), ("target", target)):
        if spec is not None:
            if f"data.{domain}" in edits:
                raise ConfigError([f"--set data.{domain}: conflicts with --{domain}; give one of the two"])
            edits[f"data.{domain}"] = spec
    if fitted and not (config_file or preset_name):
        config = fitted()
        edits = effective_edits(config, edits)
    else:
        config = read_config(config_file) if config_file else preset(preset_name) if preset_name else tiny()
    return apply(config, edits) if edits else check(config)


def echo_plugin_notes(checkpoint: StoragePath) -> None:
    """Print which plugins of a checkpoint's run are missing or have changed."""
    config_file = checkpoint.parent / CONFIG_FILE
    if config_file.exists():
        with config_file.reading() as file:
            for note in plugin_notes(file):
                click.echo(f"note: {note}", err=True)


def threads_for_torch() -> int:
    """Number of torch threads of a run in this process: OMP_NUM_THREADS, or all cores.

    Raises:
        InputError: see `omp_threads`.
    """
    from gckd.device import cores

    return omp_threads() or cores()

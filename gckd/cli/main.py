"""The `gckd` command and its subcommands."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

import gckd
from gckd.cli.command_group import CommandGroup
from gckd.cli.guard import run_command
from gckd.cli.options import config_options, plugin_option
from gckd.config import config_text
from gckd.config.component import Component
from gckd.config.json_schema import json_schema
from gckd.config.tree import variants, walk_nodes
from gckd.errors import InputError
from gckd.report.console import wide_console
from gckd.report.table_report import make_report, show_curves

if TYPE_CHECKING:
    from gckd.config import Config

_OUT_HELP = "Output folder.  [default: FOLDER; with several, the table is only printed]"
_MIXED_HELP = "Accept runs of other code, plugins, data, training budget or full config, and mark their rows with †."


# name -> where the command is, and its line in `gckd --help`, which thus imports neither torch nor Ray
COMMANDS = {
    "ablate": ("gckd.cli.ablate:ablate", "Train the method with and without its components, and write a table."),
    "audit": ("gckd.cli.audit:audit", "Print the precision of the pseudo labels, measured with target train labels."),
    "cluster": ("gckd.cli.cluster:cluster", "Check a cluster file before `ray up`."),
    "data": ("gckd.cli.data:data", "Generate, check and store datasets."),
    "evaluate": ("gckd.cli.train:evaluate", "Print the retrieval metrics of checkpoints."),
    "find": ("gckd.cli.find:find", "Find the images that match a sentence."),
    "train": ("gckd.cli.train:train", "Train and evaluate one run."),
    "tune": ("gckd.cli.tune:search", "Search hyperparameters without target labels, and report the study."),
    "weights": ("gckd.cli.weights:weights", "List which keys of a checkpoint the backbone loads."),
}


class _LazyGroup(CommandGroup):
    """Imports the module of a command only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if (error.name or "gckd").startswith("gckd"):
                raise
            raise InputError(f"gckd {cmd_name}: {error.name} is missing; pip install 'gckd[cpu]'") from error
        return command

    def first_sentences(self) -> dict[str, str]:
        return super().first_sentences() | {name: line for name, (_, line) in COMMANDS.items()}


@click.group(cls=_LazyGroup)
@click.version_option(gckd.__version__)
def cli() -> None:
    """Adapt a text-to-image person retriever to a dataset without labels (GCKD, arXiv 2501.15052).

    \b
    Start:
      gckd train --out runs/demo          train and evaluate one run
      gckd ablate --drop gmp              table with and without the graph
      gckd tune --trials 8                search hyperparameters
      gckd config                         list all config fields

    `gckd COMMAND --help` describes a command and its options.
    """


@cli.command()
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", metavar="FOLDER", type=click.Path(path_type=Path), help=_OUT_HELP)
@click.option("--curves", is_flag=True, help="Also print the first and last point of every curve.")
@plugin_option
@click.option("--mixed", is_flag=True, help=_MIXED_HELP)
def report(folders: tuple[Path, ...], out: Path | None, curves: bool, mixed: bool) -> None:
    """Make the tables and report.html of a FOLDER again from its records.

    Several folders make one table. Folders with the same full config and datasets are joined: their rows and seeds are
    compared with each other. Other folders are subtables, each with its own full method; nothing is averaged over them.

    \b
    Examples:
      gckd report runs/demo
      gckd report runs/a runs/b --out runs/both
    """
    from gckd.runs.preflight import usable_folder

    out = usable_folder(out, "--out") if out else folders[0] if len(folders) == 1 else None
    make_report(folders, wide_console(), out=out, mixed=mixed)
    for folder in folders if curves else ():
        show_curves(folder, wide_console())


@cli.command("config")
@config_options
@click.option("--yaml", "as_yaml", is_flag=True, help="Print the config as YAML, a file for --config.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of config files, for editors.")
def show_config(config: Config, as_yaml: bool, schema: bool) -> None:
    """Print every field of the config with its unit and limit.

    A component shows the fields of its present kind; choose another kind with --set to see the fields of that.

    \b
    Examples:
      gckd config --preset base
      gckd config --set graph.propagate=gnn
      gckd config --preset small --yaml > my_config.yaml
    """
    if schema and as_yaml:
        raise InputError("--schema: conflicts with --yaml; give one of the two")
    if schema:
        click.echo(json.dumps(json_schema(), indent=2))
    elif as_yaml:
        click.echo(config_text(config), nl=False)
    else:
        click.echo(describe(config, shutil.get_terminal_size().columns if sys.stdout.isatty() else None))


def describe(config: Config, width: int | None = None) -> str:
    """One line for each field, `path = value unit  doc (limit)`, aligned. A component's value is its kind.

    Args:
        width: of the terminal, to which lines are wrapped; None: lines are not wrapped.
    """
    lines = []
    for path, value, hint, limits in walk_nodes(config):
        kinds = [choice.kind for choice in variants(hint) if issubclass(choice, Component)]
        if variants(hint) and not kinds:
            continue
        setting = f"{path} = {value.kind if kinds else repr(value)}" + (f" {limits.unit}" if limits.unit else "")
        limit = "one of " + ", ".join(kinds) if kinds else limits.text()
        lines.append((setting, limits.doc + (f" ({limit})" if limit else "")))
    column = max(len(setting) for setting, _ in lines) + 2
    if width is None:
        return "\n".join(f"{setting:<{column}}{doc}" for setting, doc in lines)
    indent = " " * min(column, width // 2)
    return "\n".join(
        textwrap.fill(f"{setting:<{column}}{doc}", width, subsequent_indent=indent, break_on_hyphens=False)
        for setting, doc in lines
    )


def main() -> None:
    """Entry point of the `gckd` command."""
    run_command(cli)

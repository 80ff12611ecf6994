"""`gckd config`: fields, YAML and JSON schema of the config."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

import click

from gckd.cli.options import config_options
from gckd.config import config_text
from gckd.config.component import Component
from gckd.config.json_schema import json_schema
from gckd.config.tree import variants, walk_nodes
from gckd.errors import InputError

if TYPE_CHECKING:
    from gckd.config import Config


@click.command()
@config_options
@click.option("--yaml", "as_yaml", is_flag=True, help="Print the config as YAML, a file for --config.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of config files, for editors.")
def config(config: Config, as_yaml: bool, schema: bool) -> None:
    """Print every field of the config with its unit and limit.

    A component shows the fields of its present kind; choose another kind with --set to see the fields of that.

    \b
    Examples:
      gckd config --preset base
      gckd config --set graph.propagate=gnn
      gckd config --preset base --yaml > my_config.yaml
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

"""`gckd`: data, config, train, evaluate, find, audit, weights, cluster, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import gckd
from gckd.cli.audit import audit
from gckd.cli.cluster import cluster
from gckd.cli.data import data
from gckd.cli.find import find
from gckd.cli.guard import run_command
from gckd.cli.options import config_options
from gckd.cli.train import evaluate, train
from gckd.cli.weights import weights
from gckd.config import to_yaml
from gckd.config.fields import walk
from gckd.report.write import report as make_report
from gckd.report.write import show_curves, wide_console

if TYPE_CHECKING:
    from gckd.config import Config

_OUT_HELP = "Folder of the tables.  [default: FOLDER; several are only printed]"


@click.group()
@click.version_option(gckd.__version__)
def cli() -> None:
    """Graph-based cross-domain knowledge distillation for text-to-image person retrieval."""


@cli.command()
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help=_OUT_HELP)
@click.option("--curves", is_flag=True, help="Also print where each curve begins and ends.")
@click.option("--mixed", is_flag=True, help="Also where runs are of other code, data, budget or full config; marked.")
def report(folders: tuple[Path, ...], out: Path | None, curves: bool, mixed: bool) -> None:
    """Make the tables of FOLDER again from its runs.parquet.

    Of several: folders of one full config and the same datasets are joined, with their rows and seeds together; those
    of other datasets are blocks of one table, each with its own full method, never averaged with each other.
    """
    from gckd.dist.preflight import usable_folder

    out = usable_folder(out, "--out") if out else folders[0] if len(folders) == 1 else None
    make_report(folders, wide_console(), out=out, mixed=mixed)
    for folder in folders if curves else ():
        show_curves(folder, wide_console())


@cli.command("config")
@config_options
@click.option("--yaml", "as_yaml", is_flag=True, help="Print it as YAML, as --config takes it.")
def show_config(config: Config, as_yaml: bool) -> None:
    """Print every field of the config: value, unit, what it is, limit."""
    click.echo(to_yaml(config) if as_yaml else describe(config), nl=not as_yaml)


def describe(config: Config) -> str:
    """One line a field, `path = value unit (limit)  doc`, aligned."""
    lines = []
    for path, value, _, limits in walk(config):
        shown = f"{path} = {value!r}" + (f" {limits.unit}" if limits.unit else "")
        limit = limits.text()
        lines.append((shown, limits.doc + (f" ({limit})" if limit else "")))
    width = max(len(shown) for shown, _ in lines)
    return "\n".join(f"{shown:<{width}}  {doc}" for shown, doc in lines)


cli.add_command(data)
cli.add_command(train)
cli.add_command(evaluate)
cli.add_command(find)
cli.add_command(audit)
cli.add_command(weights)
cli.add_command(cluster)


def main() -> None:
    """Entry point of the `gckd` command."""
    run_command(cli)

"""`gckd report`: tables and report.html from records."""

from __future__ import annotations

from pathlib import Path

import click

from gckd.cli.options import plugin_option
from gckd.cli.parameter_types import LocalPath
from gckd.report.console import wide_console
from gckd.report.table_report import make_report, show_curves
from gckd.runs.preflight import usable_folder

_OUT_HELP = "Output folder.  [default: FOLDER; with several, the table is only printed]"
_MIXED_HELP = "Accept runs of other code, plugins, data, training budget or full config, and mark their rows with †."


@click.command()
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=LocalPath())
@click.option("--out", metavar="FOLDER", type=LocalPath(), help=_OUT_HELP)
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
    out = usable_folder(out, "--out") if out else folders[0] if len(folders) == 1 else None
    make_report(folders, wide_console(), out=out, mixed=mixed)
    for folder in folders if curves else ():
        show_curves(folder, wide_console())

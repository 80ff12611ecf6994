"""`gckd data`: generate the benchmark, check a dataset, build a store. Heavy imports wait until a command runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gckd.cli.command_group import CommandGroup
from gckd.cli.options import cache_option, plugin_option
from gckd.cli.parameter_types import LocalPath, Number, WholeNumber
from gckd.errors import InputError, reason_of
from gckd.printable import echo, printable
from gckd.storage.cache import CachePath

if TYPE_CHECKING:
    from rich.table import Table

    from gckd.data.dataset_check import CheckResult, SplitRow
    from gckd.data.types import ItemProgress

SECONDS_BETWEEN_LINES = 10.0
CONTACT_SHEET = "contact-sheet.png"
_RAY_HELP = "Read and decode images with Ray Data: on all cores, or on the nodes of RAY_ADDRESS, which must see them."
_IDS_HELP = "Number of train identities; RSTPReid gets a third."
_SHIFT_HELP = "Gap between the domains, from 0 (none) to 1 (severe)."
_SEED_HELP = "Random seed; the same seed gives the same bytes."
_UNITS = ("images", "identities", "captions")


@click.group(cls=CommandGroup)
def data() -> None:
    """Generate, check and store datasets."""


@data.group(cls=CommandGroup)
def make() -> None:
    """Generate a benchmark dataset."""


@make.command()
@click.argument("folder", metavar="DIR", type=LocalPath())
@click.option(
    "--ids",
    default=1200,
    show_default=True,
    type=WholeNumber(),
    help="Number of train identities; RSTPReid gets a third.",
)
@click.option(
    "--shift",
    default=0.25,
    type=Number(),
    show_default=True,
    help="Gap between the domains, from 0 (none) to 1 (severe).",
)
@click.option(
    "--seed", default=1, type=WholeNumber(), show_default=True, help="Random seed; the same seed gives the same bytes."
)
@click.option("--domains", default="", metavar="A,B", help="Datasets to write.  [default: all three]")
@click.option("--sheet", is_flag=True, help=f"Also draw a contact sheet, DIR/{CONTACT_SHEET}.")
def street(folder: Path, ids: int, shift: float, seed: int, domains: str, sheet: bool) -> None:
    """Draw the benchmark street, pedestrians with captions.

    DIR gets a folder for each of the datasets CUHK-PEDES, ICFG-PEDES and RSTPReid, in their formats. If DIR already
    holds a street with the same options, nothing is drawn.

    \b
    Example:
      gckd data make street DIR --ids 200 --sheet
    """
    from gckd.data.street import contact_sheet, make_street
    from gckd.data.street.domains import DOMAINS

    names = tuple(name.strip() for name in domains.split(",")) if domains else tuple(DOMAINS)
    try:
        with progress_bar("drawing") as progress:
            summary = make_street(folder, ids=ids, shift=shift, seed=seed, domains=names, progress=progress)
        if sheet:
            contact_sheet(folder, folder / CONTACT_SHEET)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({reason_of(error)})") from error
    for name, splits in summary.counts.items():
        parts = (
            f"{split} {n.images:,} images of {n.identities:,} identities, {n.captions:,} captions"
            for split, n in splits.items()
        )
        click.echo(f"{folder / name}: {'; '.join(parts)}")
    if sheet:
        click.echo(folder / CONTACT_SHEET)


@data.command()
@click.argument("first", metavar="PATH")
@click.argument("second", metavar="[PATH2]", required=False)
@plugin_option
def check(first: str, second: str | None) -> None:
    """Check one or two datasets for problems that would spoil an experiment.

    PATH is FOLDER or FORMAT:FOLDER, for example icfg-pedes:ICFG-PEDES.

    Problems are images that cannot be read; captions that are empty, without words, of several identities, code, or in
    another script than Latin; identities in two splits; and equal pictures or near copies (resized, encoded again) in
    two splits, of several identities or in both datasets. The table shows the published counts beside the
    actual ones. A difference is a problem only if the number of images is within 20 % of the published number.

    \b
    Example:
      gckd data check icfg-pedes:ICFG-PEDES rstpreid:RSTPReid

    Exit status: 0 without problems, 1 with problems, 2 if a dataset cannot be read at all.
    """
    from rich.console import Console

    from gckd.data.dataset_check import check as check_datasets

    with progress_bar("reading images") as progress:
        result = check_datasets(first, second, progress=progress)
    console = Console()
    for table in _count_tables(result):
        console.print(table)
    for note in result.notes:
        echo(f"note: {note}")
    for problem in result.problems:
        echo(f"{problem.dataset}: {problem.kind}: {problem.text}")
    echo(f"problems: {len(result.problems) or 'none'}")
    sys.exit(1 if result.problems else 0)


@data.command()
@click.argument("dataset")
@click.argument("destination")
@click.option("--skip-broken", is_flag=True, help="Leave out images that cannot be read, and count them.")
@click.option("--ray", "on_ray", is_flag=True, help=_RAY_HELP)
@plugin_option
@cache_option
def store(dataset: str, destination: str, skip_broken: bool, on_ray: bool, cache: CachePath) -> None:
    """Convert a dataset for an object store, and upload it.

    DATASET is FOLDER or FORMAT:FOLDER. DESTINATION is a URI such as s3://BUCKET/NAME (also gs://, abfs://) or a folder.
    Pass DESTINATION to --source or --target on any machine; each machine downloads the store into its cache once.
    Results are identical to those of the folder.

    \b
    Example:
      gckd data store icfg-pedes:ICFG-PEDES s3://BUCKET/icfg-pedes
    """
    from gckd.cluster.image_decoding import ray_inspection
    from gckd.data.datasets import find_dataset
    from gckd.data.remote_store import upload_store
    from gckd.runs.preflight import usable_cache
    from gckd.storage.path import StoragePath

    resolved, location = find_dataset(dataset), StoragePath.at(destination)
    with ray_inspection() if on_ray else nullcontext() as inspector, progress_bar("reading images") as progress:
        built = resolved.open_store(
            usable_cache(cache).local_path, skip_broken=skip_broken, progress=progress, inspector=inspector
        )
    try:
        upload_store(built, location, resolved.published)
    except OSError as error:
        raise InputError(f"{location}: cannot be written ({reason_of(error)})") from error
    for note in built.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"{location}: {resolved.name}, {sum(split['images'] for split in built.counts.values()):,} images")


@contextmanager
def progress_bar(title: str) -> Iterator[ItemProgress]:
    """Callback that shows progress on standard error: a bar on a terminal, a line every ten seconds elsewhere."""
    if not sys.stderr.isatty():
        yield _progress_lines(title)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _progress_lines(title: str) -> ItemProgress:
    last_line = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last_line
        if time.monotonic() - last_line >= SECONDS_BETWEEN_LINES:
            last_line = time.monotonic()
            click.echo(f"{title}: {done:,} of {total:,}", err=True)

    return progress


def _count_tables(result: CheckResult) -> Iterator[Table]:
    """One table per dataset: actual and published counts of each split."""
    from rich.markup import escape
    from rich.table import Table

    for dataset, format_name in dict.fromkeys((row.dataset, row.format) for row in result.rows):
        table = Table(title=escape(printable(f"{dataset} ({format_name})")), title_justify="left")
        table.add_column("split")
        for unit in _UNITS:
            table.add_column(unit, justify="right")
            table.add_column("published", justify="right", style="dim")
        for row in result.rows:
            if row.dataset == dataset:
                table.add_row(row.split, *_cells(row))
        yield table


def _cells(row: SplitRow) -> Iterator[str]:
    for unit in _UNITS:
        published = getattr(row.published, unit, None)
        yield f"{getattr(row.counts, unit):,}"
        yield "-" if published is None else f"{published:,}"

"""`gckd data`: make the generated benchmark, check or store a dataset. Heavy imports wait until a command runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gckd.cli.options import cache_option
from gckd.errors import InputError, reason_of
from gckd.storage.cache import CachePath

if TYPE_CHECKING:
    from rich.table import Table

    from gckd.data.validate import CheckResult, SplitRow

SECONDS_BETWEEN_LINES = 10.0
_RAY_HELP = "Read and decode images by Ray Data: on all cores, or on the nodes of RAY_ADDRESS, which must see them."
SHEET = "contact-sheet.png"


@click.group()
def data() -> None:
    """Make, check and store datasets."""


@data.group()
def make() -> None:
    """Make a generated dataset."""


@make.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--ids", default=1200, show_default=True, help="Train identities; RSTPReid gets a third.")
@click.option("--shift", default=0.25, show_default=True, help="Gap between the datasets, from 0 (none) to 1 (severe).")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same bytes.")
@click.option("--domains", default="", metavar="A,B", help="Which datasets to write (default: all).")
@click.option("--sheet", is_flag=True, help=f"Also draw DIR/{SHEET}, to look at.")
def street(folder: Path, ids: int, shift: float, seed: int, domains: str, sheet: bool) -> None:
    """Draw the benchmark "street" at DIR, in the formats of the three real datasets.

    A DIR that already holds this very street is left as it is.
    """
    from gckd.data.street import contact_sheet, make_street
    from gckd.data.street.domains import DOMAINS

    chosen = tuple(name.strip() for name in domains.split(",")) if domains else tuple(DOMAINS)
    try:
        with progress_bar("drawing") as progress:
            info = make_street(folder, ids=ids, shift=shift, seed=seed, domains=chosen, progress=progress)
        if sheet:
            contact_sheet(folder, folder / SHEET)
    except ValueError as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({reason_of(error)})") from error
    for name, splits in info.counts.items():
        parts = (f"{s} {n.images:,} images of {n.ids:,} ids, {n.captions:,} captions" for s, n in splits.items())
        click.echo(f"{folder / name}: {'; '.join(parts)}")
    if sheet:
        click.echo(folder / SHEET)


@data.command()
@click.argument("first", metavar="PATH")
@click.argument("second", metavar="[PATH2]", required=False)
def check(first: str, second: str | None) -> None:
    """Look for what would spoil an experiment on the dataset at PATH (or FORMAT:PATH), or on two datasets.

    Findings: images that cannot be read, empty captions, identities shared between splits, identical pictures in
    several splits, of several identities or in both datasets. Counts are shown beside the published ones; a difference
    is a finding only if the number of images is within 20 % of the published, so that this must be meant as that
    dataset.

    Exit status: 0, or 1 with findings, or 2 if a dataset cannot be read at all.
    """
    from rich.console import Console

    from gckd.data.validate import check as run_check

    with progress_bar("reading images") as progress:
        result = run_check(first, second, progress=progress)
    console = Console()
    for table in _count_tables(result):
        console.print(table)
    for note in result.notes:
        click.echo(f"note: {note}")
    for finding in result.findings:
        click.echo(f"{finding.dataset}: {finding.kind}: {finding.text}")
    click.echo(f"{len(result.findings)} findings" if result.findings else "no findings")
    sys.exit(1 if result.findings else 0)


@data.command()
@click.argument("dataset")
@click.argument("place")
@click.option("--skip-broken", is_flag=True, help="Leave out images that cannot be read, and count them.")
@click.option("--ray", "on_ray", is_flag=True, help=_RAY_HELP)
@cache_option
def store(dataset: str, place: str, skip_broken: bool, on_ray: bool, cache: CachePath) -> None:
    """Build the store of DATASET (a folder, or FORMAT:FOLDER) and put it at PLACE, for example s3://BUCKET/NAME.

    PLACE (also gs://, abfs://, or a folder) is then what --source and --target take, on any machine; each fetches it
    into its cache, once. Results are those of the folder, bit for bit.
    """
    from gckd.cluster.image_decoding import ray_inspection
    from gckd.data.datasets import find_dataset
    from gckd.data.remote_store import keep_store
    from gckd.runs.preflight import usable_cache
    from gckd.storage.path import StoragePath

    found, to = find_dataset(dataset), StoragePath.at(place)
    with ray_inspection() if on_ray else nullcontext() as look, progress_bar("reading images") as progress:
        built = found.stored(usable_cache(cache).local_path, skip_broken=skip_broken, progress=progress, look=look)
    try:
        keep_store(built, to, found.published)
    except OSError as error:
        raise InputError(f"{to}: cannot be written ({reason_of(error)})") from error
    for note in built.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"{to}: {found.name}, {sum(split['images'] for split in built.counts.values()):,} images")


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, a line now and then elsewhere, both on standard error; yields `progress(done, total)`."""
    if not sys.stderr.isatty():
        yield _plain_progress(title)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _plain_progress(title: str) -> Callable[[int, int], None]:
    said = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            click.echo(f"{title}: {done:,} of {total:,}", err=True)

    return progress


def _count_tables(result: CheckResult) -> Iterator[Table]:
    """One table a dataset: what is there, and beside it what is published, where it is."""
    from rich.table import Table

    for dataset in dict.fromkeys(row.dataset for row in result.rows):
        table = Table(title=dataset, title_justify="left")
        table.add_column("split")
        for what in ("images", "identities", "captions"):
            table.add_column(what, justify="right")
            table.add_column("published", justify="right", style="dim")
        for row in result.rows:
            if row.dataset == dataset:
                table.add_row(row.split, *_cells(row))
        yield table


def _cells(row: SplitRow) -> Iterator[str]:
    for what in ("images", "identities", "captions"):
        published = getattr(row.published, what, None)
        yield f"{getattr(row.counts, what):,}"
        yield "-" if published is None else f"{published:,}"

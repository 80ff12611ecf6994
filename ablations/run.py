"""The component table: the full method and rows without some of its components, over seeds, on Ray.

python ablations/run.py --drop gmp --drop gmp,cmkd --seeds 5
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # run as a script: the checkout it lies in, before any installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click

from ablations.catalog import COMPONENTS, drop_rows
from gckd.cli.datasets import with_datasets
from gckd.cli.guard import run_command
from gckd.cli.options import cache_option, config_options
from gckd.config import Config
from gckd.dist.cluster import cores, default_concurrency
from gckd.dist.display import display, store_progress
from gckd.dist.launch import Launch, launch
from gckd.dist.output import default_output, output_folder
from gckd.dist.plan import plan
from gckd.dist.preflight import Datasets, check_sizes, prepare_datasets, usable_folder
from gckd.dist.records import Origin, Records
from gckd.dist.revision import git_revision
from gckd.dist.tasks import Entry
from gckd.report.write import wide_console, write_report

_AT_LEAST_ONE = click.IntRange(min=1)
_DROP_HELP = f"A row without these components, NAME or NAME,NAME: {', '.join(COMPONENTS)}.  [repeatable]"


@click.command()
@config_options
@click.option("--drop", "drops", multiple=True, metavar="NAMES", help=_DROP_HELP)
@click.option("--seeds", type=_AT_LEAST_ONE, default=3, show_default=True, help="Runs of each row.")
@click.option("--out", type=click.Path(path_type=Path), help="Output folder.  [default: runs/<name and digest>]")
@click.option("--resume", is_flag=True, help="Go on with what --out holds: finished runs are kept.")
@click.option("--workers", type=_AT_LEAST_ONE, help="Runs at a time.  [default: by the number of cores]")
@click.option("--threads", type=_AT_LEAST_ONE, help="Threads of each run.  [default: by the number of cores]")
@cache_option
@click.pass_obj
def table(
    entry: Entry | None,
    config: Config,
    drops: tuple[str, ...],
    seeds: int,
    out: Path | None,
    resume: bool,
    workers: int | None,
    threads: int | None,
    cache: Path,
) -> int:
    """Train the full method and a row for each --drop, and print the component table.

    Without --source and --target, the generated benchmark street is made once in the cache folder and used.
    """
    drop_rows(drops, config)  # a misspelt name is refused before anything is drawn or read
    cache = usable_folder(cache, "--cache")
    config, datasets = prepare_datasets(with_datasets(config, cache), cache, store_progress())
    rows = drop_rows(drops, config)
    folder = out or default_output(config, datasets)
    check_sizes({run.digest: run.config for run in plan(config, rows, seeds, folder)}.values(), datasets)
    with output_folder(folder, config, resume=resume) as folder:
        records = Records(folder)
        auto_workers, auto_threads = default_concurrency(cores())
        how = Launch(records, origin(datasets), cache, display(), workers or auto_workers, threads or auto_threads)
        how.entry = entry or Entry()
        try:
            launch(plan(config, rows, seeds, folder), how)
        except KeyboardInterrupt:
            click.echo(f"interrupted; the same command with --out {folder} --resume goes on", err=True)
            raise
        summaries = write_report(folder, wide_console())
    click.echo(f"written to {folder}", err=True)
    return 1 if any(summary.failed for summary in summaries) else 0


def origin(datasets: Datasets) -> Origin:
    return Origin(git_revision(), datasets.source_name, datasets.target_name, datasets.published)


if __name__ == "__main__":
    run_command(table)

"""The component table: the full method and rows that differ from it in something, over seeds, on Ray.

python ablations/run.py --drop gmp --drop gmp,cmkd --seeds 5
python ablations/run.py --spec table4
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # run as a script: the checkout it lies in, before any installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click

from ablations.catalog import ADDED, COMPONENTS
from ablations.rows import Rows, add_rows, combinations, drop_rows, factorial_rows, joined, sweep_rows
from ablations.spec import SPECS, Spec, load_spec
from gckd.cli.datasets import with_datasets
from gckd.cli.guard import run_command
from gckd.cli.options import cache_option, config_options
from gckd.config import Config, ConfigError, apply, parse_edits
from gckd.dist.cluster import cores, default_concurrency
from gckd.dist.display import display, store_progress
from gckd.dist.examples import write_examples
from gckd.dist.launch import Launch, launch
from gckd.dist.launches import noted
from gckd.dist.output import default_output, output_folder
from gckd.dist.plan import plan
from gckd.dist.preflight import Datasets, check_sizes, prepare_datasets, usable_folder
from gckd.dist.records import DONE, Origin, Records
from gckd.dist.revision import git_revision
from gckd.dist.tasks import Entry
from gckd.errors import InputError
from gckd.report.mixed import MIXED, budget
from gckd.report.write import keep_asked, wide_console, write_report

_AT_LEAST_ONE = click.IntRange(min=1)
_SEEDS = 3
_ADD_HELP = f"The baseline, and a row with these added: {', '.join(ADDED)}.  [repeatable]"
_SPEC_HELP = f"Rows, seeds and edits of a file, or of {', '.join(sorted(p.stem for p in SPECS.glob('*.yaml')))}."
_DROP_HELP = f"A row without these components, NAME or NAME,NAME: {', '.join(COMPONENTS)}.  [repeatable]"


@click.command()
@config_options
@click.option("--drop", "drops", multiple=True, metavar="NAMES", help=_DROP_HELP)
@click.option("--add", "adds", multiple=True, metavar="NAMES", help=_ADD_HELP)
@click.option("--factorial", metavar="NAMES", help="A row without each combination of these components.")
@click.option("--sweep", "sweeps", multiple=True, metavar="PATH=V,V", help="A row for each value.  [repeatable]")
@click.option("--spec", "spec_name", metavar="NAME|FILE", help=_SPEC_HELP)
@click.option("--seeds", type=_AT_LEAST_ONE, help="Runs of each row.  [default: the spec's, or 3]")
@click.option("--out", type=click.Path(path_type=Path), help="Output folder.  [default: runs/<name and digest>]")
@click.option("--resume", is_flag=True, help="Go on with what --out holds: finished runs are kept.")
@click.option("--mixed", is_flag=True, help="Also rows of other code or with another budget; marked.")
@click.option("--workers", type=_AT_LEAST_ONE, help="Runs at a time.  [default: by the number of cores]")
@click.option("--threads", type=_AT_LEAST_ONE, help="Threads of each run.  [default: by the number of cores]")
@cache_option
@click.pass_obj
def table(
    entry: Entry | None,
    config: Config,
    drops: tuple[str, ...],
    adds: tuple[str, ...],
    factorial: str | None,
    sweeps: tuple[str, ...],
    spec_name: str | None,
    seeds: int | None,
    out: Path | None,
    resume: bool,
    mixed: bool,
    workers: int | None,
    threads: int | None,
    cache: Path,
) -> int:
    """Train the full method and a row for each part left out, added or changed, and print the component table.

    Without --source and --target, the generated benchmark street is made once in the cache folder and used.
    """
    spec = load_spec(spec_name) if spec_name else Spec()
    config = spec.full(config, parse_edits(click.get_current_context().params["assignments"]))
    seeds = seeds or spec.seeds or _SEEDS

    def asked(full: Config) -> Rows:
        rows = [spec.all_rows(full), add_rows(adds, full), drop_rows(drops, full)]
        rows += [factorial_rows(factorial, full)] if factorial else []
        return joined(*rows, *(sweep_rows(text, full) for text in sweeps))

    wanted = asked(config)  # a misspelt name is refused before anything is drawn or read
    if not mixed:
        _check_budgets(config, wanted)
    cache = usable_folder(cache, "--cache")
    config, datasets = prepare_datasets(with_datasets(config, cache), cache, store_progress())
    rows = asked(config)
    folder = out or default_output(config, datasets)
    check_sizes({run.digest: run.config for run in plan(config, rows, seeds, folder)}.values(), datasets)
    with output_folder(folder, config, resume=resume) as folder:
        keep_asked(folder, spec.question, combinations(every) if (every := factorial or spec.factorial) else {})
        records = Records(folder)
        if not mixed:
            _check_code(records)
        auto_workers, auto_threads = default_concurrency(cores())
        how = Launch(records, origin(datasets), cache, display(), workers or auto_workers, threads or auto_threads)
        how.entry = entry or Entry()
        runs = plan(config, rows, seeds, folder)
        try:
            with noted(how):
                launch(runs, how)
        except KeyboardInterrupt:
            click.echo(f"interrupted; the same command with --out {folder} --resume goes on", err=True)
            raise
        write_examples(runs, records, datasets.target)
        summaries = write_report(folder, wide_console(), mixed=mixed)
    click.echo(f"written to {folder}", err=True)
    return 1 if any(summary.failed for summary in summaries) else 0


def _check_budgets(full: Config, rows: Rows) -> None:
    """Refuses rows that train on more or fewer pairs than the full method."""
    usual, problems = budget(full), []
    for row, edits in rows.items():
        own = budget(apply(full, edits))
        other = [key for key in own if own[key] != usual[key]]
        problems += [f"row {row}: its {key} is {own[key]}, and {usual[key]} in full; {MIXED}" for key in other]
    if problems:
        raise ConfigError(problems)


def _check_code(records: Records) -> None:
    """Refuses to go on, before anything runs, with what other code has begun."""
    now = git_revision()
    other = sorted({r["git_revision"] for r in records.runs if r["status"] == DONE} - {now})
    if other:
        raise InputError(f"--resume: {records.folder} has runs of code {', '.join(other)}, and this is {now}; {MIXED}")


def origin(datasets: Datasets) -> Origin:
    return Origin(git_revision(), datasets.source_name, datasets.target_name, datasets.published)


if __name__ == "__main__":
    run_command(table)

"""The component table: the full method and rows that differ from it in something, over seeds, on Ray.

python ablations/run.py --drop gmp --drop gmp,cmkd --seeds 5
python ablations/run.py --spec table4
"""

from __future__ import annotations

from pathlib import Path

import click

from gckd.ablations.components import ADDED, COMPONENTS
from gckd.ablations.dataset_pairs import ONE, blocks
from gckd.ablations.rows import Rows, add_rows, combinations, drop_rows, factorial_rows, joined, sweep_rows
from gckd.ablations.spec import SPECS, Spec, load_spec
from gckd.ablations.table import Asked, Table, check_budgets
from gckd.cli.options import cache_option, config_options
from gckd.cluster.tasks import RunFunctions
from gckd.config import Config, digest, parse_edits
from gckd.report.across_tables import write_blocks
from gckd.report.console import wide_console
from gckd.runs.preflight import usable_cache
from gckd.storage.cache import CachePath
from gckd.storage.mirror import Mirror
from gckd.storage.path import StoragePath

_AT_LEAST_ONE = click.IntRange(min=1)
_SEEDS = 3
_ADD_HELP = f"The baseline, and a row with these added: {', '.join(ADDED)}.  [repeatable]"
_SPEC_HELP = f"Rows, seeds and edits of a file, or of {', '.join(sorted(p.stem for p in SPECS.glob('*.yaml')))}."
_OUT_HELP = "Output: a folder, or s3://BUCKET/NAME.  [default: runs/<name and digest>]"
_DROP_HELP = f"A row without these components, NAME or NAME,NAME: {', '.join(COMPONENTS)}.  [repeatable]"


@click.command()
@config_options
@click.option("--drop", "drops", multiple=True, metavar="NAMES", help=_DROP_HELP)
@click.option("--add", "adds", multiple=True, metavar="NAMES", help=_ADD_HELP)
@click.option("--factorial", metavar="NAMES", help="A row without each combination of these components.")
@click.option("--sweep", "sweeps", multiple=True, metavar="PATH=V,V", help="A row for each value.  [repeatable]")
@click.option("--spec", "spec_name", metavar="NAME|FILE", help=_SPEC_HELP)
@click.option(
    "--dataset", "datasets", multiple=True, help="For a spec of all pairs: a folder, or FORMAT:FOLDER.  [repeatable]"
)
@click.option("--seeds", type=_AT_LEAST_ONE, help="Runs of each row.  [default: the spec's, or 3]")
@click.option("--out", metavar="FOLDER|URI", help=_OUT_HELP)
@click.option("--resume", is_flag=True, help="Go on with what --out holds: finished runs are kept.")
@click.option("--mixed", is_flag=True, help="Also rows of other code or with another budget; marked.")
@click.option("--workers", type=_AT_LEAST_ONE, help="Runs at a time.  [default: by the number of cores]")
@click.option("--threads", type=_AT_LEAST_ONE, help="Threads of each run.  [default: by the number of cores]")
@cache_option
@click.pass_obj
def table(
    entry: RunFunctions | None,
    config: Config,
    drops: tuple[str, ...],
    adds: tuple[str, ...],
    factorial: str | None,
    sweeps: tuple[str, ...],
    spec_name: str | None,
    datasets: tuple[str, ...],
    seeds: int | None,
    out: str | None,
    resume: bool,
    mixed: bool,
    workers: int | None,
    threads: int | None,
    cache: CachePath,
) -> int:
    """Train the full method and rows without some parts, for a component table.

    Without --source and --target, the generated benchmark street is made once in the cache folder and used.
    """
    spec = load_spec(spec_name) if spec_name else Spec()
    config = spec.full(config, parse_edits(click.get_current_context().params["assignments"]))

    def rows(full: Config) -> Rows:
        found = [spec.all_rows(full), add_rows(adds, full), drop_rows(drops, full)]
        found += [factorial_rows(factorial, full)] if factorial else []
        return joined(*found, *(sweep_rows(text, full) for text in sweeps))

    wanted = rows(config)  # a misspelt name is refused before anything is drawn or read
    if not mixed:
        check_budgets(config, wanted)
    cache = usable_cache(cache)
    asked = Asked(
        rows=rows,
        seeds=seeds or spec.seeds or _SEEDS,
        question=spec.question,
        dropped=combinations(every) if (every := factorial or spec.factorial) else {},
        checks=spec.checks,
        cache=cache,
        resume=resume,
        mixed=mixed,
        workers=workers,
        threads=threads,
        entry=entry or RunFunctions(),
    )
    several = blocks(spec, datasets, config, cache.local_path)
    if several.keys() != {ONE}:
        out = out or f"runs/{Path(spec_name or '').stem}-{digest(*several.values())[:8]}"
    mirror = Mirror.for_output(StoragePath.at(out)) if out else None
    tables = {name: Table.checked(full, mirror, name, asked) for name, full in several.items()}
    try:
        summaries = {name: table.make() for name, table in tables.items()}
    except KeyboardInterrupt:
        where = mirror.out if mirror else tables[ONE].out
        click.echo(f"interrupted; the same command with --out {where} --resume goes on", err=True)
        raise
    if mirror and several.keys() != {ONE}:
        write_blocks(mirror.folder, summaries, spec.question, wide_console())
        mirror.upload()
        click.echo(f"written to {mirror.out}", err=True)
    return 1 if any(row.failed for found in summaries.values() for row in found) else 0

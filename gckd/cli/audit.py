"""`gckd audit`: precision of the teacher's pseudo labels, by target train labels."""

from __future__ import annotations

import click
from rich.table import Table

from gckd.cli.options import cache_option, config_options, threads_for_torch
from gckd.cli.parameter_types import WholeNumber
from gckd.config import Config
from gckd.errors import InputError
from gckd.report.console import wide_console
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath


@click.command()
@config_options
@click.option("--seed", type=WholeNumber(), help="Seed of the source model; short for --set seed=N.")
@click.option(
    "--checkpoint",
    metavar="FILE|URI",
    help="Checkpoint whose memory banks are read.  [default: the banks before adaptation]",
)
@cache_option
def audit(config: Config, seed: int | None, checkpoint: str | None, cache: CachePath) -> None:
    """Print the precision of the pseudo labels, measured with target train labels.

    The table has a row for each kind of graph and each retrieval direction: how often the most probable key shows the
    query's person, how much probability is on that person, and whether sharp labels are right more often than flat
    ones. All graphs use the same teacher. The table reads target labels: do not choose settings by it.

    \b
    Examples:
      gckd audit
      gckd audit --config runs/demo/config.yaml \\
        --checkpoint runs/demo/full/seed-0/checkpoint.pt
    """
    import torch

    from gckd.config import apply
    from gckd.data.street.default_pair import with_default_datasets
    from gckd.runs.dataset_progress import dataset_progress
    from gckd.runs.local import report_to_display
    from gckd.runs.preflight import usable_cache
    from gckd.runs.progress_display import display
    from gckd.training.label_audit import GROUPS, audit_pseudo_labels

    path = StoragePath.at(checkpoint) if checkpoint else None
    if path and not path.exists():
        raise InputError(f"--checkpoint {checkpoint}: there is no such file")
    torch.set_num_threads(threads_for_torch())
    config = config if seed in (None, config.seed) else apply(config, {"seed": seed})
    cache = usable_cache(cache)
    config = with_default_datasets(config, cache.local_path, dataset_progress())
    with display() as progress:
        report = report_to_display(progress, "audit", config.seed)
        rows = audit_pseudo_labels(config, cache=cache, report=report, checkpoint=path)
    quarters = [f"group {i + 1}" for i in range(GROUPS)]
    table = Table(*("graph", "direction", "precision", "mass", "entropy", *quarters))
    for row in rows:
        shares = (100 * row.precision, 100 * row.mass, row.entropy, *(100 * share for share in row.by_entropy))
        table.add_row(row.graph, row.direction, *(f"{share:.1f}" for share in shares))
    table.caption = (
        "Labels of the target's TRAIN split were used. Percent; entropy in nats. precision: the most probable key is "
        "of the query's person; mass: probability on that person; groups: precision of "
        f"{GROUPS} equal groups, sharpest targets first."
    )
    wide_console().print(table)

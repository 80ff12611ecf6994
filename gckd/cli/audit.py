"""`gckd audit`: precision of the teacher's pseudo labels, by target train labels."""

from __future__ import annotations

import click
from rich.table import Table

from gckd.cli.options import cache_option, config_options, threads_for_torch
from gckd.config import Config
from gckd.errors import InputError
from gckd.report.console import wide_console
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath


@click.command()
@config_options
@click.option("--seed", type=int, help="Seed of the source model, as --set seed=N.")
@click.option(
    "--checkpoint", metavar="FILE|URI", help="Checkpoint whose banks are read.  [default: banks before adaptation]"
)
@cache_option
def audit(config: Config, seed: int | None, checkpoint: str | None, cache: CachePath) -> None:
    """Print the precision of the pseudo labels, by target train labels.

    The table has a row for each kind of graph and each retrieval direction: how often the most probable key is of the
    query's person, how much probability is on that person, and whether sharp labels are right more often than flat
    ones. All graphs get the same teacher. Do not choose settings by this table: it reads target labels, and says so.
    """
    import torch

    from gckd.config import apply
    from gckd.runs.local import report_to_display
    from gckd.runs.preflight import usable_cache
    from gckd.runs.progress_display import display
    from gckd.training.label_audit import GROUPS, audit_pseudo_labels

    path = StoragePath.at(checkpoint) if checkpoint else None
    if path and not path.exists():
        raise InputError(f"{checkpoint}: there is no such checkpoint file")
    torch.set_num_threads(threads_for_torch())
    config = config if seed in (None, config.seed) else apply(config, {"seed": seed})
    with display() as shown:
        report = report_to_display(shown, "audit", config.seed)
        rows = audit_pseudo_labels(config, cache=usable_cache(cache), report=report, checkpoint=path)
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

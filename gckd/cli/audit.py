"""`gckd audit`: how right the teacher's pseudo labels are, by the labels that training never sees."""

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
@click.option("--seed", type=int, help="Seed of the source model; seed=N of --set.")
@click.option("--checkpoint", metavar="FILE|URI", help="Of a run of this config: its banks, not the start.")
@cache_option
def audit(config: Config, seed: int | None, checkpoint: str | None, cache: CachePath) -> None:
    """Look at the pseudo labels with the labels of the target's train split.

    For each kind of graph and each direction: how often the most probable partner is the right person, how much
    probability lies on that person, and whether sharp targets are right more often than flat ones. The graphs see one
    and the same teacher. Never choose a setting by this: it reads target labels, and its table says so.
    """
    import torch

    from gckd.config import apply
    from gckd.runs.local import report_to_display
    from gckd.runs.preflight import usable_cache
    from gckd.runs.progress_display import display
    from gckd.training.label_audit import GROUPS
    from gckd.training.label_audit import audit as look

    place = StoragePath.at(checkpoint) if checkpoint else None
    if place and not place.exists():
        raise InputError(f"{checkpoint}: there is no such checkpoint file")
    torch.set_num_threads(threads_for_torch())
    config = config if seed in (None, config.seed) else apply(config, {"seed": seed})
    with display() as shown:
        report = report_to_display(shown, "audit", config.seed)
        found = look(config, cache=usable_cache(cache), report=report, checkpoint=place)
    quarters = [f"group {i + 1}" for i in range(GROUPS)]
    table = Table(*("graph", "direction", "precision", "mass", "entropy", *quarters))
    for row in found:
        shares = (100 * row.precision, 100 * row.mass, row.entropy, *(100 * share for share in row.by_entropy))
        table.add_row(row.graph, row.direction, *(f"{share:.1f}" for share in shares))
    table.caption = (
        "Labels of the target's TRAIN split were used. Percent; entropy in nats. precision: the most probable key is "
        "of the query's person; mass: probability on that person; groups: precision of "
        f"{GROUPS} equal groups, sharpest targets first."
    )
    wide_console().print(table)

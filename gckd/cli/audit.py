"""`gckd audit`: precision of the teacher's pseudo labels, by target train labels."""

from __future__ import annotations

import click
from rich.table import Table

from gckd.cli.options import LateConfig, cache_option, echo_plugin_notes, late_config_options, threads_for_torch
from gckd.cli.parameter_types import WholeNumber
from gckd.errors import InputError
from gckd.report.console import wide_console
from gckd.storage.cache import CachePath


@click.command()
@click.argument("checkpoint", required=False)
@late_config_options
@click.option("--seed", type=WholeNumber(), help="Seed of the source model; short for --set seed=N.")
@cache_option
def audit(checkpoint: str | None, config: LateConfig, seed: int | None, cache: CachePath) -> None:
    """Print the precision of the pseudo labels, measured with target train labels.

    The table has a row for each kind of graph and each retrieval direction: how often the most probable key shows the
    query's person, how much probability is on that person, and whether sharp labels are right more often than flat
    ones. All graphs use the same teacher. The table reads target labels: do not choose settings by it.

    CHECKPOINT is a checkpoint.pt, the output folder of one run, or a URI. Its teacher and memory banks are read, and
    its config.yaml from beside it. Without CHECKPOINT, the banks are those before adaptation, of the config that the
    options describe.

    \b
    Examples:
      gckd audit
      gckd audit runs/demo
    """
    import torch

    from gckd.config import apply
    from gckd.data.dataset_pair import open_datasets
    from gckd.data.street.default_pair import with_default_datasets
    from gckd.runs.dataset_progress import dataset_progress
    from gckd.runs.local import report_to_display
    from gckd.runs.preflight import usable_cache
    from gckd.runs.progress_display import display
    from gckd.training.label_audit import GROUPS, audit_pseudo_labels
    from gckd.training.load import checkpoint_config, checkpoint_file

    path = checkpoint_file(checkpoint) if checkpoint else None
    if path:
        _refuse_second_config(click.get_current_context())
        echo_plugin_notes(path)
    resolved = config((lambda: checkpoint_config(path)) if path else None)
    torch.set_num_threads(threads_for_torch())
    resolved = resolved if seed in (None, resolved.seed) else apply(resolved, {"seed": seed})
    cache = usable_cache(cache)
    resolved = with_default_datasets(resolved, cache.local_path, dataset_progress())
    with display() as progress:
        report = report_to_display(progress, "audit", resolved.seed)
        rows = audit_pseudo_labels(resolved, cache=cache, report=report, checkpoint=path)
        notes = open_datasets(resolved, cache).notes()  # both are in the cache now
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
    console = wide_console()
    console.print(table)
    for note in notes:
        console.print(note, style="dim", highlight=False, markup=False)


def _refuse_second_config(context: click.Context) -> None:
    """Refuse options that describe another config than that of the checkpoint."""
    for name, option in (("config_file", "--config"), ("preset_name", "--preset")):
        if context.params[name]:
            raise InputError(f"{option}: conflicts with CHECKPOINT, whose own config is read from beside it")

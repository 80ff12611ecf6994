"""Graph samples: small parts of the graphs of finished runs, saved for the picture of the connectivity check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gckd.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gckd.config import Config
    from gckd.runs.plan import Run
    from gckd.runs.records import Records
    from gckd.storage.path import StoragePath

GRAPH_CHECK = "graph_connectivity"


def save_graph_samples(runs: Sequence[Run], records: Records, out: StoragePath) -> None:
    """Saves a part of the graph of each row's first finished run, for the rows that have a graph.

    A sample is only a picture: if a checkpoint cannot be read, the reason is printed and the table is completed.

    Args:
        out: output with the checkpoints.
    """
    from gckd.training.graph_sample import save_graph_sample

    first: dict[str, Run] = {}
    for run in runs:
        if records.finished(run) and _has_graph(run.config):
            first.setdefault(run.row, run)
    for run in first.values():
        try:
            save_graph_sample(run.config, run.checkpoint_folder(out) / "checkpoint.pt", run.folder)
        except InputError as error:
            click.echo(f"no picture of the graph of {run.name}: {error}", err=True)


def _has_graph(config: Config) -> bool:
    return config.adapt.steps > 0 and not config.graph.propagate.off and not config.distill.targets.off

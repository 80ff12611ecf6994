"""Parts of the graphs of finished runs, kept beside their records, for the picture of a check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gckd.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gckd.runs.plan import Run
    from gckd.runs.records import Records
    from gckd.storage.path import StoragePath

GRAPH_CHECK = "graph_connectivity"


def keep_graphs(runs: Sequence[Run], records: Records, out: StoragePath) -> None:
    """Saves a part of the graph of each row's first finished run, if it has one. What cannot be read is only said.

    Args:
        out: where the checkpoints are.
    """
    from gckd.training.graph_sample import save_graph_sample

    first: dict[str, Run] = {}
    for run in runs:
        parts = run.config.graph.propagate, run.config.distill.targets
        if records.finished(run) and not any(part.off for part in parts):
            first.setdefault(run.row, run)
    for run in first.values():
        try:
            save_graph_sample(run.config, run.checkpoint_folder(out) / "checkpoint.pt", run.folder)
        except InputError as error:
            click.echo(f"no picture of the graph of {run.name}: {error}", err=True)

"""Cost of early stopping, from replaying the trials of a search that ran without it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import numpy as np
import pandas as pd
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from rich.table import Table
from scipy.stats import spearmanr

from gckd.report.console import wide_console

SETTINGS = [(first, reduction) for first in (1, 2) for reduction in (2, 3, 4)]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--orders", default=1000, show_default=True, type=click.IntRange(min=1), help="Random orders of the trials."
)
def main(folder: Path, orders: int) -> None:
    """Replay the finished trials of FOLDER, the output of a search with --scheduler none.

    The first table shows the rank correlation (Spearman) of each epoch's score with the best score of all epochs. The
    second shows, for ASHA with several first rungs and reduction factors, how often the best trial survives and which
    share of the epochs runs, over random orders of the trials, one at a time.

    \b
    python benchmarks/rungs.py runs/search-0123abcd
    """
    values = scores_by_epoch(folder)
    final = values.max(axis=1)
    order = Table("epoch", "rank correlation", caption=f"{len(values)} trials of {values.shape[1]} epochs")
    for epoch, column in enumerate(values.T, 1):
        order.add_row(str(epoch), f"{spearmanr(column, final).statistic:.2f}")
    table = Table(
        "first rung",
        "reduction",
        "best trial survives",
        "score lost",
        "epochs run",
        caption=f"means of {orders} orders",
    )
    for first, reduction in SETTINGS:
        survives, lost, run = np.mean([replay(values, first, reduction, seed) for seed in range(orders)], axis=0)
        table.add_row(str(first), str(reduction), f"{survives:.1%}", f"{lost:.4f}", f"{run:.1%}")
    wide_console().print(order, table)


def scores_by_epoch(folder: Path) -> np.ndarray:
    """Scores [trials, epochs] of the trials that ran to their last epoch."""
    rows = pd.read_parquet(folder / "trials.parquet")
    table = rows[rows["duplicate_of"].isna()].pivot(index="trial", columns="epoch", values="value").dropna()
    return table.to_numpy()


def replay(values: np.ndarray, first: int, reduction: int, seed: int) -> tuple[float, float, float]:
    """Whether the best trial survives, how far the best survivor is below it, and the share of epochs run."""
    epochs, final = values.shape[1], values.max(axis=1)
    scheduler = ASHAScheduler(
        time_attr="epoch", metric="score", mode="max", max_t=epochs, grace_period=first, reduction_factor=reduction
    )
    survivors, run = [], 0
    for trial in np.random.default_rng(seed).permutation(len(values)):
        end = last_epoch(scheduler, str(trial), values[trial])
        run += end
        if end == epochs:
            survivors.append(trial)
    return float(final.argmax() in survivors), final.max() - final[survivors].max(), run / values.size


def last_epoch(scheduler: ASHAScheduler, name: str, scores: np.ndarray) -> int:
    """Epoch at which the scheduler ends a trial."""
    bracket, trial = scheduler._brackets[0], SimpleNamespace(trial_id=name)
    for epoch, score in enumerate(scores[:-1], 1):
        if bracket.on_result(trial, epoch, score) == TrialScheduler.STOP:  # type: ignore[arg-type]
            return epoch
    return len(scores)


if __name__ == "__main__":
    main()

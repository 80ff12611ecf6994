"""What early stopping would have cost a search that ran without it: its trials replayed under several settings."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

if __name__ == "__main__":  # run as a script: the checkout it lies in, before any installed copy
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
@click.option("--orders", default=1000, show_default=True, type=click.IntRange(min=1), help="Random orders of trials.")
def main(folder: Path, orders: int) -> None:
    """Replay the finished trials of FOLDER, the output of a search with --scheduler none.

    First how well an epoch's score orders the trials as the best of all their epochs does (Spearman); then, for ASHA
    from a first rung and with a reduction factor, how often the best trial goes on to its end and what share of the
    epochs is run, over random orders of the trials, one at a time.

    \b
    python benchmarks/rungs.py runs/search-0123abcd
    """
    values = scores_by_epoch(folder)
    final = values.max(axis=1)
    order = Table("epoch", "rank correlation", caption=f"{len(values)} trials of {values.shape[1]} epochs")
    for epoch, column in enumerate(values.T, 1):
        order.add_row(str(epoch), f"{spearmanr(column, final).statistic:.2f}")
    table = Table(
        "first rung", "reduction", "best kept", "score lost", "epochs run", caption=f"means of {orders} orders"
    )
    for first, reduction in SETTINGS:
        kept, lost, run = np.mean([replay(values, first, reduction, seed) for seed in range(orders)], axis=0)
        table.add_row(str(first), str(reduction), f"{kept:.1%}", f"{lost:.4f}", f"{run:.1%}")
    wide_console().print(order, table)


def scores_by_epoch(folder: Path) -> np.ndarray:
    """[trials, epochs]: what the scheduler would have been told of the trials that ran to their last epoch."""
    told = pd.read_parquet(folder / "trials.parquet")
    table = told[told["twin"].isna()].pivot(index="trial", columns="epoch", values="value").dropna()
    return table.to_numpy()


def replay(values: np.ndarray, first: int, reduction: int, seed: int) -> tuple[float, float, float]:
    """Whether the best trial was kept, how far the best of those kept is below it, and the share of epochs run."""
    epochs, final = values.shape[1], values.max(axis=1)
    scheduler = ASHAScheduler(
        time_attr="epoch", metric="score", mode="max", max_t=epochs, grace_period=first, reduction_factor=reduction
    )
    kept, run = [], 0
    for trial in np.random.default_rng(seed).permutation(len(values)):
        end = goes_to(scheduler, str(trial), values[trial])
        run += end
        if end == epochs:
            kept.append(trial)
    return float(final.argmax() in kept), final.max() - final[kept].max(), run / values.size


def goes_to(scheduler: ASHAScheduler, name: str, scores: np.ndarray) -> int:
    """The epoch at which a trial ends."""
    bracket, trial = scheduler._brackets[0], SimpleNamespace(trial_id=name)
    for epoch, score in enumerate(scores[:-1], 1):
        if bracket.on_result(trial, epoch, score) == TrialScheduler.STOP:  # type: ignore[arg-type]
            return epoch
    return len(scores)


if __name__ == "__main__":
    main()

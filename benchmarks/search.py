"""Overhead of a search: seconds per trial outside training and evaluation."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import optuna
from optuna.trial import TrialState
from rich.table import Table

from gckd.data.street import make_street
from gckd.report.console import wide_console
from gckd.tune.storage import open_storage

ROOT = Path(__file__).resolve().parents[1]
SOURCE, TARGET = "ICFG-PEDES", "RSTPReid"
SHORT = (
    "adapt.steps=2",
    "adapt.batch=16",
    "pretrain.steps=8",
    "pretrain.batch=16",
    "pretrain.evaluations=1",
)


@click.command()
@click.option("--trials", default=8, show_default=True, type=click.IntRange(min=3), help="Trials, one at a time.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Workers per trial.")
@click.option(
    "--ids", default=48, show_default=True, type=click.IntRange(min=24), help="Train identities of the street."
)
def main(trials: int, workers: int, ids: int) -> None:
    """Run a search of two-step trials, and measure the time of each trial outside training and evaluation.

    The overhead covers Tune, Optuna, opening the data, building the model and saving. The first trial also
    starts an actor and has its own row. With several workers, each trial is a nested Ray Train run.

    \b
    python benchmarks/search.py
    python benchmarks/search.py --workers 2 --trials 4
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_street(folder / "street", ids=ids, domains=(SOURCE, TARGET))
        command = [
            sys.executable,
            str(ROOT / "tune" / "search.py"),
            "--trials",
            str(trials),
            "--concurrent",
            "1",
            "--confirm-seeds",
            "0",
        ]
        command += ["--workers-per-trial", str(workers), "--epochs", "1", "--scheduler", "none", "--no-audit"]
        command += ["--source", str(folder / "street" / SOURCE), "--target", str(folder / "street" / TARGET)]
        (folder / "space.yaml").write_text("distill.teacher.m: {one_minus: [0.001, 0.1], log: true}")
        command += ["--space", str(folder / "space.yaml")]
        command += ["--cache", str(folder / "cache"), "--out", str(folder / "out"), "--sampler", "random"]
        command += [word for edit in SHORT for word in ("--set", edit)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        study = optuna.load_study(storage=open_storage(None, folder / "out"), study_name="out")
        seconds = overheads(study)
    table = Table(
        "overhead of a trial", "seconds", caption=f"{len(seconds)} trials of {workers} workers, one at a time"
    )
    table.add_row("first trial", f"{seconds[0]:.2f}")
    table.add_row("other trials, median", f"{statistics.median(seconds[1:]):.2f}")
    table.add_row("other trials, maximum", f"{max(seconds[1:]):.2f}")
    wide_console().print(table)


def overheads(study: optuna.Study) -> list[float]:
    """Seconds between the ends of successive trials, minus the later one's training and evaluation."""
    done = [t for t in study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE and "seconds" in t.user_attrs]
    seconds = []
    for before, trial in zip([None, *done], done, strict=False):
        begun = trial.datetime_start if before is None else before.datetime_complete
        assert begun is not None
        assert trial.datetime_complete is not None
        seconds.append((trial.datetime_complete - begun).total_seconds() - trial.user_attrs["seconds"])
    return seconds


if __name__ == "__main__":
    main()

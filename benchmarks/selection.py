"""Cost of selection without labels: searches with several selectors, compared by target labels afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import optuna
from rich.table import Table

from gckd.report.console import wide_console
from gckd.report.statistics import Estimate, estimate, paired
from gckd.tune.best import best
from gckd.tune.final_evaluation import TEST
from gckd.tune.storage import open_storage

ROOT = Path(__file__).resolve().parents[1]
ORACLE = "oracle"
CAPTION = "percent, mean ± 95 % over seeds; measured with target labels; the oracle also chose by them"
SEARCHES: dict[str, list[str]] = {
    "label-free default": [],
    "source val alone": ["--select", "source_val_map"],
    "random search": ["--sampler", "random"],
    ORACLE: ["--select", "oracle"],
}


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=1), help="Number of seeds, from 0.")
@click.option("--trials", default=16, show_default=True, type=click.IntRange(min=1), help="Trials per search.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder of the searches; resumed if it exists."
)
@click.option("--cache", type=click.Path(path_type=Path), required=True, help="Cache shared by all searches.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def main(seeds: int, trials: int, out: Path, cache: Path, options: tuple[str, ...]) -> None:
    """Search by the label-free default, by source val alone, at random, and by target labels, with several seeds.

    A seed determines source model, sampler and batches. OPTIONS are passed to tune/search.py. The same command resumes
    after an interruption.

    \b
    python benchmarks/selection.py --out runs/selection --cache CACHE --source A --target B
    """
    val: dict[str, dict[int, float]] = {name: {} for name in SEARCHES}
    test: dict[str, dict[int, float]] = {name: {} for name in SEARCHES}
    for seed in range(seeds):
        for name, selection in SEARCHES.items():
            folder = out.resolve() / f"{name.replace(' ', '-')}-{seed}"
            at = ["--set", f"seed={seed}"] if seed else []  # an edit that changes nothing is refused
            shared = [
                "--confirm-seeds",
                "0",
                "--trials",
                str(trials),
                "--cache",
                str(cache.resolve()),
                "--out",
                str(folder),
            ]
            command = [sys.executable, str(ROOT / "tune" / "search.py"), *selection, *at, *shared, *options]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})
            val[name][seed], test[name][seed] = chosen(folder)
            click.echo(f"seed {seed}, {name}: val {val[name][seed]:.1f}, test {test[name][seed]:.1f}", err=True)
    columns = "selection", "val Rank-1", "oracle - row", "test Rank-1", "oracle - row"
    table = Table(*columns, caption=f"{seeds} searches of {trials} trials each; {CAPTION}")
    for name in SEARCHES:
        table.add_row(name, *against(val[ORACLE], val[name]), *against(test[ORACLE], test[name]))
    wide_console().print(table)


def chosen(folder: Path) -> tuple[float, float]:
    """True Rank-1 of a search's chosen trial, on target val and test."""
    study = optuna.load_study(storage=open_storage(None, folder), study_name=folder.name)
    trial = best(study)
    if trial is None or not trial.true:
        raise click.ClickException(f"{folder}: no trial was chosen, or none audited")
    return trial.true["rank_1"], study.user_attrs[TEST]["rank_1"]


def against(oracle: Mapping[int, float], row: Mapping[int, float]) -> tuple[str, str]:
    """Mean over seeds, and its difference to the oracle on the same seeds."""
    difference = paired(oracle, row)
    return written(estimate(list(row.values()))), written(difference) if difference and row is not oracle else ""


def written(value: Estimate) -> str:
    return f"{value.mean:.1f}" + ("" if value.half_width is None else f" ± {value.half_width:.1f}")


if __name__ == "__main__":
    main()

"""What selection without labels costs: whole searches by several selectors, held against target labels afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

if __name__ == "__main__":  # run as a script: the checkout it lies in, before any installed copy
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
CAPTION = "percent, mean ± 95 % over seeds; measured by target labels, by which the oracle also chose"
SEARCHES: dict[str, list[str]] = {
    "label-free default": [],
    "source val alone": ["--select", "source_val_map"],
    "random search": ["--sampler", "random"],
    ORACLE: ["--select", "oracle"],
}


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=1), help="Counted from 0.")
@click.option("--trials", default=16, show_default=True, type=click.IntRange(min=1), help="Of each search.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the searches; goes on.")
@click.option("--cache", type=click.Path(path_type=Path), required=True, help="Shared by all of them.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def main(seeds: int, trials: int, out: Path, cache: Path, options: tuple[str, ...]) -> None:
    """Search by the label-free default, by source val alone, at random, and by target labels, with several seeds.

    A seed is that of the source model, the sampler and the batches. OPTIONS are those of tune/search.py. Interrupted,
    the same command goes on.

    \b
    python benchmarks/selection.py --out runs/selection --cache CACHE --source A --target B
    """
    val: dict[str, dict[int, float]] = {name: {} for name in SEARCHES}
    test: dict[str, dict[int, float]] = {name: {} for name in SEARCHES}
    for seed in range(seeds):
        for name, own in SEARCHES.items():
            folder = out.resolve() / f"{name.replace(' ', '-')}-{seed}"
            at = ["--set", f"seed={seed}"] if seed else []  # an edit that changes nothing is refused
            shared = ["--trials", str(trials), "--cache", str(cache.resolve()), "--out", str(folder)]
            command = [sys.executable, str(ROOT / "tune" / "search.py"), *own, *at, *shared, *options]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})
            val[name][seed], test[name][seed] = chosen(folder)
            click.echo(f"seed {seed}, {name}: val {val[name][seed]:.1f}, test {test[name][seed]:.1f}", err=True)
    columns = "search by", "val Rank-1", "oracle - it", "test Rank-1", "oracle - it"
    table = Table(*columns, caption=f"{seeds} searches of {trials} trials each; {CAPTION}")
    for name in SEARCHES:
        table.add_row(name, *against(val[ORACLE], val[name]), *against(test[ORACLE], test[name]))
    wide_console().print(table)


def chosen(folder: Path) -> tuple[float, float]:
    """True Rank-1 of the trial that a search chose, on target val and test."""
    study = optuna.load_study(storage=open_storage(None, folder), study_name=folder.name)
    found = best(study)
    if found is None or found.true_rank_1 is None:
        raise click.ClickException(f"{folder}: no trial was chosen, or none audited")
    return found.true_rank_1, study.user_attrs[TEST]["rank_1"]


def against(oracle: Mapping[int, float], own: Mapping[int, float]) -> tuple[str, str]:
    """A mean over seeds, and how far it is below the oracle's on the same seeds."""
    difference = paired(oracle, own)
    return written(estimate(list(own.values()))), written(difference) if difference and own is not oracle else ""


def written(found: Estimate) -> str:
    return f"{found.mean:.1f}" + ("" if found.half_width is None else f" ± {found.half_width:.1f}")


if __name__ == "__main__":
    main()

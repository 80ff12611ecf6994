"""Label-free scores of searches with several seeds, compared with target labels afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import optuna
from rich.table import Table

from gckd.report.console import wide_console
from gckd.report.statistics import estimate
from gckd.tune.report.score_audit import audit_rows
from gckd.tune.storage import open_storage
from gckd.validators.audit import METRICS, AuditRow
from gckd.validators.reliability import HALVES, reliability

ROOT = Path(__file__).resolve().parents[1]
# Every trial finishes: an early stop is itself a choice by the score that the search maximises.
SEARCH = "--sampler", "random", "--scheduler", "none", "--confirm-seeds", "0"
CAPTION = "mean ± 95 % over searches; measured on target val with its labels, which no score reads"


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--searches", default=5, show_default=True, type=click.IntRange(min=1), help="Searches, of seeds from 0.")
@click.option("--trials", default=8, show_default=True, type=click.IntRange(min=4), help="Trials of each search.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder of the searches; resumed if it exists."
)
@click.option("--cache", type=click.Path(path_type=Path), required=True, help="Cache shared by all searches.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def main(searches: int, trials: int, out: Path, cache: Path, options: tuple[str, ...]) -> None:
    """Search at random with several seeds, and compare every label-free score with Rank-1 and mAP on target val.

    A seed determines source model, configurations and batches. rho is Spearman's correlation over the trials of a
    search, regret the best trial minus the one that the score picks. OPTIONS are passed to tune/search.py. The same
    command resumes after an interruption.

    \b
    python benchmarks/selection.py --out runs/selection --cache CACHE --source A --target B
    """
    audits: list[list[AuditRow]] = []
    halves: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for seed in range(searches):
        folder = out.resolve() / f"seed-{seed}"
        at = ["--set", f"seed={seed}"] if seed else []  # an edit that changes nothing is refused
        place = ["--trials", str(trials), "--cache", str(cache.resolve()), "--out", str(folder)]
        command = [sys.executable, str(ROOT / "tune" / "search.py"), *SEARCH, *at, *place, *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})
        audited, rows = audit_rows(optuna.load_study(storage=open_storage(None, folder), study_name=folder.name))
        if not rows:
            raise click.ClickException(f"{folder}: no trial has true metrics; see its report.html")
        click.echo(f"seed {seed}: {len(audited)} of {trials} trials audited", err=True)
        audits.append(rows)
        for metric, (first, second) in HALVES.items():
            result = reliability([(candidate.true[first], candidate.true[second]) for candidate in audited])
            halves[metric] += [result.halves] if result else []
    columns = "score", *(f"rho {metric}" for metric in METRICS), *(f"regret {metric}" for metric in METRICS)
    table = Table(*columns, title=f"{searches} searches of {trials} random trials", caption=CAPTION)
    for name in [row.select for row in audits[0]]:
        table.add_row(*cells(name, audits))
    wide_console().print(table)
    agreement = ", ".join(f"{metric} {written(values)}" for metric, values in halves.items())
    click.echo(f"rho between two halves of the identities of target val: {agreement}")


def cells(name: str, audits: Sequence[Sequence[AuditRow]]) -> list[str]:
    """Row of one score: means over the searches, for rho over those in which it is defined."""
    rows = [row for audit in audits for row in audit if row.select == name]
    correlations = [[value.spearman for row in rows if (value := row.correlation.get(m))] for m in METRICS]
    return [name, *map(written, correlations), *(written([row.regret[m] for row in rows]) for m in METRICS)]


def written(values: Sequence[float]) -> str:
    if not values:
        return ""
    value = estimate(list(values))
    return f"{value.mean:.2f}" + ("" if value.half_width is None else f" ± {value.half_width:.2f}")


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    main()

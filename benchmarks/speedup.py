"""A search against the same runs started by hand, one after the other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":  # run as a script: the checkout it lies in, before any installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import pyarrow.parquet as pq
from rich.table import Table

from gckd.report.console import wide_console

ROOT = Path(__file__).resolve().parents[1]


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--trials", default=16, show_default=True, type=click.IntRange(min=1), help="Runs on either side.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of both sides; must not exist.")
@click.option("--cache", type=click.Path(path_type=Path), required=True, help="Has the source model already.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def main(trials: int, out: Path, cache: Path, options: tuple[str, ...]) -> None:
    """Time a search, then `gckd train` of each of its configs by itself, on all cores.

    OPTIONS are those of tune/search.py; with `--scheduler none` no trial is stopped early, and both sides do the same
    work. What a run by hand does beside is what it always does: curves on target val, and the test split.

    \b
    python benchmarks/speedup.py --out runs/speedup --cache CACHE --source A --target B
    """
    folder = out.resolve()
    folder.mkdir(parents=True)
    shared = ["--cache", str(cache.resolve())]
    python = [sys.executable]
    search = [*python, str(ROOT / "tune" / "search.py"), "--trials", str(trials), "--no-audit"]
    together = seconds_of([*search, "--out", str(folder / "search"), *shared, *options])
    configs = sorted((folder / "search" / "trials").glob("*/config.yaml"), key=lambda file: int(file.parent.name))
    apart = sum(
        seconds_of([*python, "-m", "gckd", "train", "--config", str(file), "--out", str(folder / f"hand-{n}"), *shared])
        for n, file in enumerate(configs)
    )
    epochs = pq.read_table(folder / "search" / "trials.parquet").num_rows
    table = Table("runs", "seconds", caption=f"{len(configs)} runs on either side; the search ran {epochs} epochs")
    table.add_row("one search", f"{together:.0f}")
    table.add_row("by hand, one after the other", f"{apart:.0f}")
    table.add_row("ratio", f"{apart / together:.2f}")
    wide_console().print(table)


def seconds_of(command: list[str]) -> float:
    """Wall-clock time of a command that has to succeed."""
    begun = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()

"""Time of a search against the same runs started one after the other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import pyarrow.parquet as pq
from rich.table import Table

from gckd.report.console import wide_console

ROOT = Path(__file__).resolve().parents[1]


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--trials", default=16, show_default=True, type=click.IntRange(min=1), help="Trials of the search.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Output folder; must not exist.")
@click.option(
    "--cache", type=click.Path(path_type=Path), required=True, help="Cache that already has the source model."
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def main(trials: int, out: Path, cache: Path, options: tuple[str, ...]) -> None:
    """Time a search, then `gckd train` on each of its configs, one at a time on all cores.

    OPTIONS are passed to tune/search.py. With `--scheduler none` no trial stops early, and both sides train the same
    epochs. `gckd train` also evaluates target val for its curves, and the test split.

    \b
    python benchmarks/speedup.py --out runs/speedup --cache CACHE --source A --target B
    """
    folder = out.resolve()
    folder.mkdir(parents=True)
    shared = ["--cache", str(cache.resolve())]
    python = [sys.executable]
    search = [*python, str(ROOT / "tune" / "search.py"), "--trials", str(trials), "--no-audit"]
    search_seconds = seconds_of([*search, "--out", str(folder / "search"), *shared, *options])
    configs = sorted((folder / "search" / "trials").glob("*/config.yaml"), key=lambda file: int(file.parent.name))
    single_seconds = sum(
        seconds_of([*python, "-m", "gckd", "train", "--config", str(file), "--out", str(folder / f"run-{n}"), *shared])
        for n, file in enumerate(configs)
    )
    epochs = pq.read_table(folder / "search" / "trials.parquet").num_rows
    table = Table("runs", "seconds", caption=f"{len(configs)} configs; the search ran {epochs} epochs")
    table.add_row("one search", f"{search_seconds:.0f}")
    table.add_row("single runs, one after the other", f"{single_seconds:.0f}")
    table.add_row("ratio", f"{single_seconds / search_seconds:.2f}")
    wide_console().print(table)


def seconds_of(command: list[str]) -> float:
    """Wall-clock seconds of a command, which must succeed."""
    begun = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()

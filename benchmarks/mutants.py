"""Mutation score of graph, method and metrics: share of small faults in the code at which a test fails."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"graph": "gckd/graph", "method": "gckd/method", "metrics": "gckd/evaluation"}
Results = dict[str, int | None]  # exit status of the tests by name of a mutant; None: not run
# Exit statuses that mutmut records.
NO_TESTS = {5, 33}
TIMEOUT = {24, -24, 36, 152, 255}
KILLED = {1, 3} | TIMEOUT


@click.command()
@click.argument("packages", nargs=-1, type=click.Choice(list(PACKAGES)))
@click.option(
    "--sample", default=200, show_default=True, type=click.IntRange(1), help="Largest number of mutants of a package."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the sample.")
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1), help="Mutants tested at a time.")
def main(packages: tuple[str, ...], sample: int, seed: int, processes: int) -> None:
    """Test a random sample of the mutants of each package with mutmut, then print the killed share and the survivors.

    A mutant is killed if one of the tests that call its function fails or exceeds its time. [tool.mutmut] in
    pyproject.toml names the tests and the modules.

    Results stay in the folder `mutants`. A second call runs only what is not yet killed; delete the folder to start
    afresh. `mutmut show NAME` prints the change of a survivor.

    \b
    pip install mutmut
    python benchmarks/mutants.py
    python benchmarks/mutants.py graph --sample 1000
    """
    packages = packages or tuple(PACKAGES)
    names = {package: sampled(mutant_names(package), sample, seed) for package in packages}
    results = recorded(packages)
    pending = [name for chosen in names.values() for name in chosen if results.get(name) not in KILLED]
    if pending:
        run_mutmut(pending, processes)
    results = recorded(packages)
    console = Console(width=100)
    console.print(
        score_table({package: {name: results.get(name) for name in chosen} for package, chosen in names.items()})
    )
    for name in sorted(name for chosen in names.values() for name in chosen):
        if results.get(name) not in KILLED | {None}:
            click.echo(f"{'no tests' if results[name] in NO_TESTS else 'survived'}: {name}")


def mutant_names(package: str) -> list[str]:
    """Names of all mutants of a package, in the form of mutmut."""
    from mutmut.configuration import config
    from mutmut.mutation.file_mutation import mutate_file_contents
    from mutmut.utils.format_utils import get_mutant_name

    os.chdir(ROOT)  # mutmut reads pyproject.toml of the working directory
    paths = [path for path in sorted(Path(PACKAGES[package]).rglob("*.py")) if config().should_mutate(path)]
    mutated = {path: mutate_file_contents(str(path), path.read_text()).mutant_names for path in paths}
    return [get_mutant_name(path, name) for path, names in mutated.items() for name in names]


def sampled(names: Sequence[str], size: int, seed: int) -> list[str]:
    """At most `size` of the names in a seeded random order; a larger sample begins with the smaller one."""
    order = sorted(names)
    random.Random(seed).shuffle(order)
    return order[:size]


def run_mutmut(names: Iterable[str], processes: int) -> None:
    """Run mutmut on some mutants, which takes seconds for each."""
    command = shutil.which("mutmut")
    if command is None:
        raise click.ClickException("mutmut is not installed; run: pip install mutmut")
    # Threads of OpenMP do not survive the fork of a mutant.
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    arguments = [command, "run", "--max-children", str(processes), *names]
    subprocess.run(arguments, check=True, cwd=ROOT, env=environment)


def recorded(packages: Iterable[str]) -> Results:
    """Results of some packages in the folder `mutants`."""
    files = [file for package in packages for file in (ROOT / "mutants" / PACKAGES[package]).rglob("*.meta")]
    return {name: status for file in files for name, status in json.loads(file.read_text())["exit_code_by_key"].items()}


def score_table(results: dict[str, Results]) -> Table:
    """Counts of the mutants that were run by package and module."""
    table = Table("module", *(("run", "killed", "survived", "no tests", "killed %")))
    for column in table.columns[1:]:
        column.justify = "right"
    for package, statuses in results.items():
        modules = sorted({module_of(name) for name in statuses})
        for module in modules:
            table.add_row(module, *counts(status for name, status in statuses.items() if module_of(name) == module))
        table.add_row(package, *counts(statuses.values()), style="bold", end_section=True)
    return table


def module_of(name: str) -> str:
    """Module of a mutant, without `gckd.`: graph.knn of gckd.graph.knn.x_nearest__mutmut_1."""
    return ".".join(name.split(".")[1:-1])


def counts(statuses: Iterable[int | None]) -> list[str]:
    """Cells of a row: mutants run, killed, survived and without tests, and the killed share in percent."""
    run = [status for status in statuses if status is not None]
    killed, untested = (sum(status in group for status in run) for group in (KILLED, NO_TESTS))
    share = f"{100 * killed / len(run):.1f}" if run else ""
    return [*map(str, (len(run), killed, len(run) - killed - untested, untested)), share]


if __name__ == "__main__":
    main()

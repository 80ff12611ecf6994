"""One component table: its plan, its runs on Ray, its report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from ablations.rows import Rows
from ablations.snapshots import GRAPH_CHECK, keep_graphs
from gckd.config import Config, ConfigError, apply
from gckd.dist.cluster import cores, default_concurrency
from gckd.dist.display import display, store_progress
from gckd.dist.examples import write_examples
from gckd.dist.launch import Launch, launch
from gckd.dist.launches import noted
from gckd.dist.output import default_output, output_folder
from gckd.dist.plan import plan
from gckd.dist.preflight import Datasets, check_sizes, prepare_datasets
from gckd.dist.records import DONE, Origin, Records
from gckd.dist.revision import git_revision
from gckd.dist.tasks import Entry
from gckd.errors import InputError
from gckd.report.mixed import MIXED, budget
from gckd.report.summary import RowSummary
from gckd.report.write import keep_asked, wide_console, write_report


@dataclass(frozen=True)
class Asked:
    """What every block of a question has in common. rows: full config -> its other rows."""

    rows: Callable[[Config], Rows]
    seeds: int
    question: str
    dropped: dict[str, tuple[str, ...]]  # row -> components it is without, where every combination is a row
    checks: tuple[str, ...]  # of `gckd.report.checks`
    cache: Path
    resume: bool
    mixed: bool
    workers: int | None
    threads: int | None
    entry: Entry


@dataclass(frozen=True)
class Table:
    """A table whose input has been checked: nothing has run yet."""

    config: Config
    datasets: Datasets
    folder: Path
    asked: Asked

    @staticmethod
    def checked(config: Config, folder: Path | None, asked: Asked) -> Table:
        """Reads and stores the datasets, and checks every row.

        Args:
            folder: of its output; None: one that is named by its datasets and config.

        Raises:
            InputError: a row or a dataset cannot be used.
        """
        config, datasets = prepare_datasets(config, asked.cache, store_progress())
        folder = folder or default_output(config, datasets)
        runs = plan(config, asked.rows(config), asked.seeds, folder)
        check_sizes({run.digest: run.config for run in runs}.values(), datasets)
        return Table(config, datasets, folder, asked)

    def make(self) -> list[RowSummary]:
        """Does the runs that are missing, and writes and prints the report.

        Raises:
            InputError: the folder holds something else, or runs of other code.
        """
        asked = self.asked
        with output_folder(self.folder, self.config, resume=asked.resume) as folder:
            keep_asked(folder, asked.question, asked.dropped, asked.checks)
            records = Records(folder)
            if not asked.mixed:
                _check_code(records)
            auto_workers, auto_threads = default_concurrency(cores())
            how = Launch(
                records,
                Origin(git_revision(), self.datasets.source_name, self.datasets.target_name, self.datasets.published),
                asked.cache,
                display(),
                asked.workers or auto_workers,
                asked.threads or auto_threads,
                asked.entry,
            )
            runs = plan(self.config, asked.rows(self.config), asked.seeds, folder)
            with noted(how):
                launch(runs, how)
            write_examples(runs, records, self.datasets.target)
            if GRAPH_CHECK in asked.checks:
                keep_graphs(runs, records)
            summaries = write_report(folder, wide_console(), mixed=asked.mixed)
        click.echo(f"written to {folder}", err=True)
        return summaries


def check_budgets(config: Config, rows: Rows) -> None:
    """Refuses rows that train on more or fewer pairs than the full method, but not on none."""
    usual, problems = budget(config), []
    for row, edits in rows.items():
        own = budget(apply(config, edits))
        other = {key: usual.get(key, "none") for key in own if own[key] != usual.get(key)}
        problems += [f"row {row}: its {key} is {own[key]}, and {full} in full; {MIXED}" for key, full in other.items()]
    if problems:
        raise ConfigError(problems)


def _check_code(records: Records) -> None:
    """Refuses to go on, before anything runs, with what other code has begun."""
    now = git_revision()
    other = sorted({r["git_revision"] for r in records.runs if r["status"] == DONE} - {now})
    if other:
        raise InputError(f"--resume: {records.folder} has runs of code {', '.join(other)}, and this is {now}; {MIXED}")

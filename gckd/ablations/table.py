"""One component table: its plan, its runs on Ray, its report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from gckd.ablations.graph_samples import GRAPH_CHECK, keep_graphs
from gckd.ablations.rows import Rows
from gckd.cluster.connect import default_concurrency
from gckd.cluster.executor import Execution, execute
from gckd.cluster.launch_log import LAUNCHES_FILE, log_launch
from gckd.cluster.tasks import RunFunctions
from gckd.config import Config, ConfigError, apply
from gckd.config.config_file import CONFIG_FILE
from gckd.data.dataset_pair import DatasetPair
from gckd.device import cores
from gckd.errors import InputError
from gckd.report.comparability import MIXED, budget
from gckd.report.console import wide_console
from gckd.report.load import ASKED_FILE
from gckd.report.summary import RowSummary
from gckd.report.table_report import keep_asked, write_report
from gckd.runs.dataset_progress import dataset_progress
from gckd.runs.examples import write_examples
from gckd.runs.output import RUN_FILES, default_output, output_folder
from gckd.runs.plan import Run, plan
from gckd.runs.preflight import check_sizes, prepare_datasets
from gckd.runs.progress_display import display
from gckd.runs.provenance import Provenance, git_revision
from gckd.runs.records import CURVES_FILE, DONE, RUNS_FILE, Records
from gckd.storage.cache import CachePath
from gckd.storage.mirror import Mirror
from gckd.storage.path import StoragePath

_HELD = (ASKED_FILE, RUNS_FILE, CURVES_FILE, LAUNCHES_FILE)  # what a table goes on from, beside its config


@dataclass(frozen=True)
class Asked:
    """What every block of a question has in common. rows: full config -> its other rows."""

    rows: Callable[[Config], Rows]
    seeds: int
    question: str
    dropped: dict[str, tuple[str, ...]]  # row -> components it is without, where every combination is a row
    checks: tuple[str, ...]  # of `gckd.report.checks`
    cache: CachePath
    resume: bool
    mixed: bool
    workers: int | None
    threads: int | None
    entry: RunFunctions


@dataclass(frozen=True)
class Table:
    """A table whose input has been checked: nothing has run yet."""

    config: Config
    datasets: DatasetPair
    mirror: Mirror
    block: str
    asked: Asked

    @property
    def folder(self) -> Path:
        """Of its records and reports, on this machine."""
        return self.mirror.folder / self.block

    @property
    def out(self) -> StoragePath:
        """Of its checkpoints, and of what is in the folder."""
        return StoragePath.at(f"{self.mirror.out}/{self.block}")

    @staticmethod
    def checked(config: Config, mirror: Mirror | None, block: str, asked: Asked) -> Table:
        """Reads and stores the datasets, and checks every row.

        Args:
            mirror: of the output of all blocks; None: the output is named by datasets and config.
            block: the part of the output that is this table's.

        Raises:
            InputError: a row or a dataset cannot be used.
        """
        config, datasets = prepare_datasets(config, asked.cache, dataset_progress())
        mirror = mirror or Mirror.for_output(StoragePath.at(default_output(config, datasets)))
        table = Table(config, datasets, mirror, block, asked)
        check_sizes({run.digest: run.config for run in table.plan()}.values(), datasets)
        return table

    def plan(self) -> list[Run]:
        return plan(self.config, self.asked.rows(self.config), self.asked.seeds, self.folder)

    def make(self) -> list[RowSummary]:
        """Does the runs that are missing, and writes and prints the report.

        Raises:
            InputError: the folder holds something else, or runs of other code.
        """
        asked = self.asked
        held = (self.folder / name for name in _HELD)
        self.mirror.start(self.folder / CONFIG_FILE, held, resume=asked.resume)
        with output_folder(self.folder, self.config, resume=asked.resume) as folder:
            keep_asked(folder, asked.question, asked.dropped, asked.checks)
            records, runs = Records(folder), self.plan()
            if not asked.mixed:
                _check_code(records)
            self.mirror.download(run.folder / name for run in runs if records.finished(run) for name in RUN_FILES)
            try:
                self._launch(runs, records)
                write_examples(runs, records, self.datasets.target)
                if GRAPH_CHECK in asked.checks:
                    keep_graphs(runs, records, self.out)
                summaries = write_report(folder, wide_console(), mixed=asked.mixed)
            finally:
                self.mirror.upload()
        click.echo(f"written to {self.out}", err=True)
        return summaries

    def _launch(self, runs: Sequence[Run], records: Records) -> None:
        asked, datasets = self.asked, self.datasets
        auto_workers, auto_threads = default_concurrency(cores())
        execution = Execution(
            records,
            Provenance(git_revision(), datasets.source_name, datasets.target_name, datasets.published),
            asked.cache,
            display(),
            asked.workers or auto_workers,
            asked.threads or auto_threads,
            asked.entry,
            self.out,
            self.mirror.upload,
        )
        with log_launch(execution):
            execute(runs, execution)


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

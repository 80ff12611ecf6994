"""Ablation table: its plan, its runs on Ray and its report."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from gckd.ablations.graph_samples import GRAPH_CHECK, save_graph_samples
from gckd.ablations.options import AblationOptions
from gckd.ablations.tuned_rows import (
    TUNING_FOLDER,
    candidate_runs,
    check_resumable,
    choose_rates,
    discard_outdated,
    with_rates,
)
from gckd.cluster.execution import Execution
from gckd.cluster.executor import execute
from gckd.cluster.launch_log import log_launch
from gckd.cluster.tasks import RunFunctions
from gckd.config import Config
from gckd.config.config_file import CONFIG_FILE
from gckd.data.dataset_pair import DatasetPair
from gckd.errors import InputError, LostInputError
from gckd.printable import echo
from gckd.report.comparability import MIXED_HINT, plugins_of
from gckd.report.console import wide_console
from gckd.report.question import QUESTION_FILE
from gckd.report.summary import RowSummary
from gckd.report.table_report import write_report
from gckd.report.tuned_rates import TunedRate, save_rates
from gckd.runs.dataset_progress import dataset_progress
from gckd.runs.examples import write_examples
from gckd.runs.output import RUN_FILES, default_output, output_folder
from gckd.runs.plan import FULL, Run, plan
from gckd.runs.preflight import check_sizes, check_weights, check_workers, prepare_datasets
from gckd.runs.progress_display import display
from gckd.runs.provenance import Provenance, git_revision, plugin_digests
from gckd.runs.records import Records
from gckd.runs.run_files import remove_outdated_checkpoints, restore_config, unreadable_checkpoints
from gckd.runs.run_outcome import OutcomeT, RunRecords
from gckd.runs.table_status import table_status
from gckd.runs.tracker import MLFLOW_FILE, Trackers, open_trackers
from gckd.runs.tuning_records import TuningRecords
from gckd.storage.launches import LAUNCHES_FILE
from gckd.storage.mirror import Mirror
from gckd.storage.path import StoragePath
from gckd.storage.run_tables import CURVES_FILE, DONE, RUNS_FILE, TUNING_FILE

# Needed to resume, beside the config.
_RESUME_FILES = (QUESTION_FILE, RUNS_FILE, CURVES_FILE, LAUNCHES_FILE, TUNING_FILE, MLFLOW_FILE)


@dataclass(frozen=True)
class AblationTable:
    """Rows around one full config on one pair of datasets, with checked input.

    name: of the subtable, which is also that of its folder in the output; empty if there is just one table.
    """

    config: Config
    datasets: DatasetPair
    mirror: Mirror
    name: str
    options: AblationOptions

    @property
    def folder(self) -> Path:
        """Local folder of the records and the report."""
        return self.mirror.folder / self.name

    @property
    def out(self) -> StoragePath:
        """Output with the checkpoints and a copy of the folder."""
        return self.mirror.out / self.name if self.name else self.mirror.out

    @staticmethod
    def checked(config: Config, mirror: Mirror | None, name: str, options: AblationOptions) -> AblationTable:
        """Opens the datasets, storing them if needed, and checks every row against them.

        Args:
            mirror: of the output of all subtables; None: an output named after the datasets and the config.

        Raises:
            InputError: a row or a dataset cannot be used.
        """
        config, datasets = prepare_datasets(config, options.cache, dataset_progress())
        mirror = mirror or Mirror.for_output(StoragePath.at(default_output(config, datasets)))
        table = AblationTable(config, datasets, mirror, name, options)
        configs = {run.digest: run.config for run in table.plan()}.values()
        check_sizes(configs, datasets)
        check_workers("--workers-per-run", options.workers_per_run, configs)
        check_weights(configs, datasets)
        table.candidates()  # refuses a rate outside its limits
        return table

    def plan(self, rates: Mapping[str, TunedRate] | None = None) -> list[Run]:
        """Every run, the full row's first.

        Args:
            rates: row -> its tuned learning rate; None: every row has its configured rate.
        """
        rows = with_rates(self.config, self.options.rows(self.config), rates or {})
        return plan(self.config, rows, self.options.seeds, self.folder, full_edits=rows.pop(FULL))

    def candidates(self) -> dict[str, list[Run]]:
        """Tuning runs of each row; empty without `--tuned-rows`."""
        if not self.options.tuned_rows:
            return {}
        return candidate_runs(self.config, self.options.rows(self.config), self.folder)

    def make(self, *, first: bool = True) -> list[RowSummary]:
        """Does the missing runs; writes and prints the report.

        Args:
            first: whether it is the first table of the command. The first one refuses a tracker that cannot be opened;
                later ones print a warning and continue without it.

        Raises:
            InputError: the folder has other contents, or runs of another version of the code.
        LostInputError: a dataset or file disappeared; the report of the runs so far is written.
        """
        options = self.options
        resume_files = (self.folder / name for name in _RESUME_FILES)
        self.mirror.start(self.folder / CONFIG_FILE, resume_files, resume=options.resume)
        with output_folder(self.folder, self.config, resume=options.resume) as folder:
            question = options.question(self.config)
            question.save(folder)
            records, tuning = Records(folder), TuningRecords(folder)
            check_resumable(tuning, records.runs, tuned=options.tuned_rows)
            if not options.mixed:
                check_code(records)
                check_code(tuning)
            trackers = open_trackers(options.track, self.folder, self.out.name, required=first)
            try:
                try:
                    runs = self.plan(self._tune(tuning, records, trackers))
                    self._check_finished([run for run in runs if records.finished(run)])
                    self._execute(runs, records, options.functions, self.out, trackers)
                    records.arrange(runs)
                except (KeyboardInterrupt, LostInputError, OSError):
                    self._report_partly(records)
                    raise
                write_examples(runs, records, self.datasets.target)
                if GRAPH_CHECK in question.checks:
                    save_graph_samples(runs, records, self.out)
                summaries = write_report(folder, wide_console(), mixed=options.mixed)
            except BaseException:
                self.mirror.try_upload()
                raise
            self.mirror.upload()
        if self.out.local is None:
            click.echo(f"written to {self.out}", err=True)
        return summaries

    def _check_finished(self, finished: Sequence[Run]) -> None:
        """Get the files of finished runs, restore damaged configs, and name damaged checkpoints."""
        self.mirror.download(run.folder / name for run in finished for name in RUN_FILES)
        for run in finished:
            restore_config(run)
        for line in unreadable_checkpoints(finished, self.out):
            echo(f"warning: {line}", err=True)

    def _report_partly(self, records: Records) -> None:
        """Write and print the table of the runs so far; nothing without any, or where it cannot be written."""
        if records.runs:
            with contextlib.suppress(InputError, OSError):
                write_report(self.folder, wide_console(), mixed=True)

    def _tune(self, tuning: TuningRecords, records: Records, trackers: Trackers) -> dict[str, TunedRate]:
        """Do the missing tuning runs and choose the learning rate of each row; empty without `--tuned-rows`.

        Records of the table whose rate is no longer the chosen one are removed.
        """
        candidates, functions = self.candidates(), self.options.functions
        if not candidates:
            return {}
        tuning_runs = [run for runs in candidates.values() for run in runs]
        scoring = dataclasses.replace(functions, run=functions.score)
        self._execute(tuning_runs, tuning, scoring, self.out / TUNING_FOLDER, trackers)
        rates = choose_rates(candidates, tuning)
        for row, count in discard_outdated(self.config, rates, records).items():
            click.echo(f"row {row}: adapt.lr is now {rates[row].chosen:g}; runs repeated: {count}", err=True)
        save_rates(rates, self.folder)
        return rates

    def _execute(
        self,
        runs: Sequence[Run],
        records: RunRecords[OutcomeT],
        functions: RunFunctions,
        out: StoragePath,
        trackers: Trackers,
    ) -> None:
        """Do the runs that `records` lacks, with their checkpoints in `out`."""
        options, datasets = self.options, self.datasets
        with_labels = {run.row for run in runs if run.config.adapt.labels == "target"}
        execution = Execution(
            records,
            Provenance(git_revision(), datasets.source_name, datasets.target_name, datasets.published),
            options.cache,
            display(status=functools.partial(table_status, with_labels=with_labels)),
            options.concurrent,
            options.workers,
            options.workers_per_run,
            options.threads,
            options.gpus,
            functions,
            out,
            self.mirror.try_upload,
            trackers,
        )
        remove_outdated_checkpoints([run for run in runs if not records.finished(run)], out, self.mirror)
        with log_launch(execution):
            execute(runs, execution)


def check_code(records: Records | TuningRecords) -> None:
    """Refuses to add runs to those of another version of the code or of a plugin, before anything starts.

    Raises:
        InputError: a finished run has another revision, or another text of a plugin that is loaded now.
    """
    current, plugins = git_revision(), plugin_digests()
    done = [r for r in records.runs if r["status"] == DONE]
    revisions = sorted({r["git_revision"] for r in done} - {current})
    if revisions:
        raise InputError(
            f"--resume: {records.folder} has runs of code {', '.join(revisions)}, the current code is {current}; "
            f"{MIXED_HINT}"
        )
    earlier = {plugin for r in done for plugin in plugins_of(r).items()}
    changed = sorted({name for name, digest in earlier if plugins.get(name, digest) != digest})
    if changed:
        raise InputError(
            f"--resume: {records.folder} has runs with another text of plugin {', '.join(changed)}; {MIXED_HINT}"
        )

"""Confirmation of a search: runs of the chosen config, the base config and the source model with further seeds.

The seeds are new, because the chosen trial is the luckiest of many with the seeds of the search. The runs are recorded
like those of an ablation, in `confirmation/` of the output.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gckd.config import Config, config_text
from gckd.config.config_file import CONFIG_FILE
from gckd.config.edit import configure, edits_between
from gckd.report.reference_rows import SOURCE_MODEL
from gckd.runs.output import RUN_FILES
from gckd.runs.plan import Run, plan
from gckd.runs.records import Records
from gckd.runs.run_files import remove_outdated_checkpoints
from gckd.storage import atomic
from gckd.storage.mirror import Mirror
from gckd.storage.path import StoragePath
from gckd.storage.run_tables import CURVES_FILE, RUNS_FILE

FOLDER = "confirmation"  # of the records, in the output
DEFAULTS = "defaults"  # row of the base config
CHOSEN = "chosen"  # name of the row `full` in displays and trackers


@dataclass(frozen=True)
class Confirmation:
    """Runs of the confirmation.

    base: config of the search. chosen: config of the chosen model. seeds: of each row. folder: local output of the
    search.
    """

    base: Config
    chosen: Config
    seeds: Sequence[int]
    folder: Path

    @property
    def record_folder(self) -> Path:
        """Local folder of the records."""
        return self.folder / FOLDER

    def runs(self) -> list[Run]:
        """Every run: the chosen config as row `full`, the base config unless it is the same, and its source model."""
        rows = {
            DEFAULTS: edits_between(self.chosen, self.base),
            SOURCE_MODEL: edits_between(self.chosen, configure(self.base, {"adapt.steps": 0})),
        }
        first = dataclasses.replace(self.chosen, seed=self.seeds[0])
        return plan(first, {row: edits for row, edits in rows.items() if edits}, len(self.seeds), self.record_folder)

    def prepare(self, mirror: Mirror) -> Records:
        """Folder and records of the confirmation, with those of an earlier command.

        A checkpoint of another config, of an earlier chosen trial, is removed.
        """
        self.record_folder.mkdir(parents=True, exist_ok=True)
        mirror.download(self.record_folder / name for name in (RUNS_FILE, CURVES_FILE))
        runs = self.runs()
        mirror.download(run.folder / name for run in runs for name in RUN_FILES)
        remove_outdated_checkpoints(runs, self.out(mirror), mirror)
        atomic.write(self.record_folder / CONFIG_FILE, config_text(runs[0].config))
        return Records(self.record_folder)

    def out(self, mirror: Mirror) -> StoragePath:
        """Output of the checkpoints."""
        return mirror.out / FOLDER


def confirmation_seeds(base: Config, trial_seeds: int, count: int) -> range:
    """Seeds of the confirmation: the first ones after those of the trials.

    Args:
        trial_seeds: number of seeds of each trial.
        count: number of seeds of the confirmation.
    """
    first = base.seed + trial_seeds
    return range(first, first + count)

"""A single run in this process, with the same records as a table of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gckd.config import Config, config_text
from gckd.config.config_file import CONFIG_FILE
from gckd.runs.output import RUN_FILES, default_output, output_folder
from gckd.runs.plan import Run, plan
from gckd.runs.preflight import check_sizes, check_weights, prepare_datasets, usable_cache, usable_folder
from gckd.runs.progress_board import Board
from gckd.runs.provenance import Provenance, git_revision
from gckd.runs.records import Record, Records
from gckd.runs.run_files import is_done, restore_config
from gckd.runs.throttle import Throttle
from gckd.runs.tracker import MLFLOW_FILE, Trackers, on_test, open_trackers, parameters_of
from gckd.storage import atomic
from gckd.storage.cache import CachePath
from gckd.storage.mirror import Mirror
from gckd.storage.path import StoragePath
from gckd.storage.run_tables import CURVES_FILE, RUNS_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from gckd.data.dataset_pair import DatasetPair
    from gckd.progress import Progress
    from gckd.runs.progress_display import Display
    from gckd.training.run import RunResult

RunFunction = Callable[..., "RunResult"]


@dataclass(frozen=True)
class RecordedRun:
    """A finished run, and the output that holds its record and its checkpoint."""

    planned: Run
    records: Records
    mirror: Mirror
    datasets: DatasetPair

    @property
    def record(self) -> Record:
        """Row of runs.parquet."""
        return next(record for record in self.records.runs if self._is_of_run(record))

    @property
    def curves(self) -> list[Record]:
        """Rows of curves.parquet, without the name of the run: stage, step, name, value."""
        names = ("stage", "step", "name", "value")
        return [{name: row[name] for name in names} for row in self.records.curves if self._is_of_run(row)]

    def _is_of_run(self, row: Mapping[str, Any]) -> bool:
        return (row["row"], row["seed"]) == (self.planned.row, self.planned.seed)


def report_to_display(
    display: Display, row: str, seed: int, trackers: Trackers | None = None, name: str = ""
) -> Callable[[Progress], None]:
    """Callback that shows the progress of the run (`row`, `seed`) on `display`.

    Args:
        trackers: get the loss terms of the current step, as the curves of run `name`.
    """
    board = Board([(row, seed)])

    def show(progress: Progress) -> None:
        board.report((row, seed), progress)
        display.show(board.snapshot())
        if trackers and progress.losses:
            trackers.log(name, f"{progress.stage}-step", progress.step, progress.losses)

    return Throttle(show)


def train_single(
    config: Config,
    run: RunFunction,
    *,
    cache: Path | CachePath,
    out: StoragePath | None,
    resume: bool,
    display: Display,
    track: Sequence[str] = (),
) -> RecordedRun:
    """Run `config` once and record it; nothing runs if it is recorded already and has its checkpoint.

    Args:
        run: `gckd.training.run.train_run`, or a function with its signature.
        out: output; None: a folder below runs/, named after the datasets and the config.
        track: trackers, checked by `gckd.runs.tracker.check_trackers`.

    Returns:
        The recorded run. Files that are written into its output later have to be uploaded with `Mirror.upload`.

    Raises:
        InputError: the config, a dataset, `cache` or `out` cannot be used, or the checkpoint of the run is damaged.
    """
    cache = usable_cache(cache)
    config, datasets = prepare_datasets(config, cache)
    check_sizes([config], datasets)
    check_weights([config], datasets)
    provenance = Provenance(git_revision(), datasets.source_name, datasets.target_name, datasets.published)
    mirror = Mirror.for_output(out or StoragePath.at(default_output(config, datasets)))
    record_files = (mirror.folder / name for name in (RUNS_FILE, CURVES_FILE, MLFLOW_FILE))
    mirror.start(mirror.folder / CONFIG_FILE, record_files, resume=resume)
    with output_folder(mirror.folder, config, resume=resume) as folder:
        (planned,) = plan(config, {}, 1, folder)
        records = Records(folder)
        if is_done(planned, records, mirror.out):
            mirror.download(planned.folder / name for name in RUN_FILES)
            restore_config(planned)
        else:
            planned.folder.mkdir(parents=True, exist_ok=True)
            atomic.write(planned.folder / CONFIG_FILE, config_text(config))
            with display:
                mirror.upload()
                name = f"{mirror.folder.name} seed {planned.seed}"
                trackers = open_trackers(track, mirror.folder, mirror.folder.name)
                trackers.start(name, parameters_of({"seed": planned.seed}))
                report = report_to_display(display, planned.row, planned.seed, trackers, name)
                checkpoints = planned.checkpoint_folder(mirror.out)
                result = run(config, cache=cache, out=checkpoints, report=report, datasets=datasets)
            records.finish(planned, result, provenance)
            trackers.add_curves(name, result.curves)
            trackers.end(name, on_test(result.metrics))
    return RecordedRun(planned, records, mirror, datasets)


def train_as_worker(config: Config, run: RunFunction, *, cache: Path | CachePath, out: StoragePath | None) -> None:
    """Take part in the run of `train_single` as another worker of the process group, without writing records.

    Raises:
        InputError: as `train_single`.
    """
    cache = usable_cache(cache)
    config, datasets = prepare_datasets(config, cache)
    mirror = Mirror.for_output(out or StoragePath.at(default_output(config, datasets)))
    folder = usable_folder(mirror.folder, "--out")
    (planned,) = plan(config, {}, 1, folder)
    if not is_done(planned, Records(folder), mirror.out):
        run(config, cache=cache, out=planned.checkpoint_folder(mirror.out), datasets=datasets)

"""One run in this process, with the same records as many: needs no Ray."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gckd.config import Config, config_text
from gckd.runs.output import CONFIG_FILE, RUN_FILES, default_output, output_folder
from gckd.runs.plan import plan
from gckd.runs.preflight import check_sizes, prepare_datasets, usable_cache, usable_folder
from gckd.runs.progress_board import Board, Throttle
from gckd.runs.provenance import Provenance, git_revision
from gckd.runs.records import CURVES_FILE, RUNS_FILE, Records
from gckd.storage.cache import CachePath
from gckd.storage.mirror import Mirror
from gckd.storage.path import StoragePath

if TYPE_CHECKING:
    from pathlib import Path

    from gckd.progress import Progress
    from gckd.runs.progress_display import Display
    from gckd.training.run import RunResult

RunFunction = Callable[..., "RunResult"]


def report_to_display(display: Display, row: str, seed: int) -> Callable[[Progress], None]:
    """A report callback that shows the one run `row`, `seed` on `display`."""
    board = Board([(row, seed)])

    def tell(progress: Progress) -> None:
        board.report((row, seed), progress)
        display.show(board.snapshot())

    return Throttle(tell)


def train_single(
    config: Config,
    run: RunFunction,
    *,
    cache: Path | CachePath,
    out: StoragePath | None,
    resume: bool,
    display: Display,
) -> Mirror:
    """Runs `config` once; the output, with its records. What is written into it afterwards is still to be saved.

    Args:
        run: `gckd.training.run.train_run`, or something that is called alike.

    Raises:
        InputError: the input cannot be used, or `out` cannot.
    """
    cache = usable_cache(cache)
    config, datasets = prepare_datasets(config, cache)
    check_sizes([config], datasets)
    provenance = Provenance(git_revision(), datasets.source_name, datasets.target_name, datasets.published)
    mirror = Mirror.for_output(out or StoragePath.at(default_output(config, datasets)))
    held = (mirror.folder / name for name in (RUNS_FILE, CURVES_FILE))
    mirror.start(mirror.folder / CONFIG_FILE, held, resume=resume)
    with output_folder(mirror.folder, config, resume=resume) as folder:
        (item,) = plan(config, {}, 1, folder)
        records = Records(folder)
        if records.finished(item):
            mirror.download(item.folder / name for name in RUN_FILES)
        else:
            item.folder.mkdir(parents=True, exist_ok=True)
            (item.folder / CONFIG_FILE).write_text(config_text(config), encoding="utf-8")
            with display:
                mirror.upload()
                report = report_to_display(display, item.row, item.seed)
                place = item.checkpoint_folder(mirror.out)
                result = run(config, cache=cache, out=place, report=report, datasets=datasets)
            records.finish(item, result, provenance)
    return mirror


def train_as_worker(config: Config, run: RunFunction, *, cache: Path | CachePath, out: StoragePath | None) -> None:
    """What the other workers of `train_single`'s run do: the same run, without records.

    Raises:
        InputError: see `train_single`.
    """
    cache = usable_cache(cache)
    config, datasets = prepare_datasets(config, cache)
    mirror = Mirror.for_output(out or StoragePath.at(default_output(config, datasets)))
    folder = usable_folder(mirror.folder, "--out")
    (item,) = plan(config, {}, 1, folder)
    if not Records(folder).finished(item):
        run(config, cache=cache, out=item.checkpoint_folder(mirror.out), datasets=datasets)

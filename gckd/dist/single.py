"""One run in this process, with the same records as many: needs no Ray."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gckd.config import Config, to_yaml
from gckd.dist.board import Board, Throttle
from gckd.dist.output import CONFIG_FILE, default_output, output_folder
from gckd.dist.plan import plan
from gckd.dist.preflight import check_sizes, prepare_datasets, usable_folder
from gckd.dist.records import Origin, Records
from gckd.dist.revision import git_revision

if TYPE_CHECKING:
    from pathlib import Path

    from gckd.dist.display import Display
    from gckd.train import Progress, RunResult

RunFunction = Callable[..., "RunResult"]


def shown_on(display: Display, row: str, seed: int) -> Callable[[Progress], None]:
    """A report callback that shows the one run `row`, `seed` on `display`."""
    board = Board([(row, seed)])

    def tell(progress: Progress) -> None:
        board.report((row, seed), progress)
        display.show(board.snapshot())

    return Throttle(tell)


def train_single(
    config: Config, run: RunFunction, *, cache: Path, out: Path | None, resume: bool, display: Display
) -> Path:
    """Runs `config` once; the output folder, with its records.

    Args:
        run: `gckd.train.run`, or something that is called alike.

    Raises:
        InputError: the input cannot be used, or `out` cannot.
    """
    cache = usable_folder(cache, "--cache")
    config, datasets = prepare_datasets(config, cache)
    check_sizes([config], datasets)
    origin = Origin(git_revision(), datasets.source_name, datasets.target_name, datasets.published)
    with output_folder(out or default_output(config, datasets), config, resume=resume) as folder:
        (item,) = plan(config, {}, 1, folder)
        records = Records(folder)
        if not records.finished(item):
            item.folder.mkdir(parents=True, exist_ok=True)
            (item.folder / CONFIG_FILE).write_text(to_yaml(config), encoding="utf-8")
            with display:
                report = shown_on(display, item.row, item.seed)
                result = run(config, cache=cache, out=item.folder, report=report)
            records.finish(item, result, origin)
    return folder


def follow(config: Config, run: RunFunction, *, cache: Path, out: Path | None) -> None:
    """What the other workers of `train_single`'s run do: the same run, without records.

    Raises:
        InputError: see `train_single`.
    """
    cache = usable_folder(cache, "--cache")
    config, datasets = prepare_datasets(config, cache)
    folder = usable_folder(out or default_output(config, datasets), "--out")
    (item,) = plan(config, {}, 1, folder)
    if not Records(folder).finished(item):
        run(config, cache=cache, out=item.folder)

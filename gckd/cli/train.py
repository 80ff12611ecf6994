"""`gckd train` and `gckd evaluate`: a single run and its checkpoint, without Ray."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from gckd.cli.options import (
    cache_option,
    config_options,
    echo_plugin_notes,
    plugin_option,
    set_option,
    threads_for_torch,
    track_option,
)
from gckd.cli.parameter_types import OneOf, WholeNumber
from gckd.cli.run_summary import run_summary
from gckd.config import Config, apply, parse_edits
from gckd.printable import echo
from gckd.report.console import wide_console
from gckd.report.summary import METRICS
from gckd.report.table_report import write_report
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath

_OUT_HELP = "Output for checkpoint and records: a folder, or s3://BUCKET/NAME.  [default: runs/<datasets and digest>]"

if TYPE_CHECKING:
    from gckd.training.target_evaluation import Evaluation


@click.command()
@config_options
@click.option("--seed", type=WholeNumber(), help="Seed of weights, batches and augmentation; short for --set seed=N.")
@click.option("--out", metavar="FOLDER|URI", help=_OUT_HELP)
@click.option("--resume", is_flag=True, help="Resume the run in --out.")
@track_option
@cache_option
def train(
    config: Config, seed: int | None, out: str | None, resume: bool, track: tuple[str, ...], cache: CachePath
) -> None:
    """Train and evaluate one run.

    The run pre-trains on the source, or loads the source model from the cache, adapts it to the target, and reads the
    test labels once, at the end. Without --source and --target, the generated benchmark street is used. With torchrun,
    several GPUs share every batch.

    \b
    Examples:
      gckd train --out runs/demo
      gckd train --source icfg-pedes:ICFG-PEDES --target rstpreid:RSTPReid \\
        --preset base --set backbone.weights=ALBEF.pth
      gckd train --out runs/demo --resume
      torchrun --nproc-per-node 4 -m gckd train --preset base ...
    """
    import torch

    from gckd.data.street.default_pair import with_default_datasets
    from gckd.distributed import process_group, rank
    from gckd.runs.dataset_progress import dataset_progress
    from gckd.runs.local import train_as_worker, train_single
    from gckd.runs.preflight import usable_cache
    from gckd.runs.progress_display import display
    from gckd.training.load import CHECKPOINT
    from gckd.training.run import train_run

    torch.set_num_threads(threads_for_torch())
    config = config if seed in (None, config.seed) else apply(config, {"seed": seed})
    output = StoragePath.at(out) if out else None
    config = with_default_datasets(config, usable_cache(cache).local_path, dataset_progress())
    with process_group(config.device):
        if rank():
            train_as_worker(config, train_run, cache=cache, out=output)
            return
        try:
            recorded = train_single(
                config, train_run, cache=cache, out=output, resume=resume, display=display(), track=track
            )
        except KeyboardInterrupt:
            click.echo("interrupted; to resume, repeat the command with --resume", err=True)
            raise
    rows = write_report(recorded.mirror.folder, Console(quiet=True))
    recorded.mirror.upload()
    summary = next(row for row in rows if row.row == recorded.planned.row)
    curves = [point for point in recorded.records.curves if point["row"] == recorded.planned.row]
    notes = json.loads(recorded.record["notes"])
    for line in run_summary(recorded.record, recorded.planned.config, summary, curves, notes):
        echo(line)
    folder = recorded.mirror.out
    echo(f"checkpoint: {recorded.planned.checkpoint_folder(folder) / CHECKPOINT}")
    echo(f"report: {folder / 'report.html'}")
    echo(f"written to {folder}", err=True)


@click.command()
@click.argument("checkpoints", metavar="CHECKPOINT...", nargs=-1, required=True)
@click.option(
    "--split",
    type=OneOf("split", ("val", "test")),
    metavar="val|test",
    default="test",
    show_default=True,
    help="Split of the target.",
)
@plugin_option
@set_option
@cache_option
def evaluate(checkpoints: tuple[str, ...], split: str, assignments: tuple[str, ...], cache: CachePath) -> None:
    """Print the retrieval metrics of checkpoints.

    CHECKPOINT is a checkpoint.pt, the output folder of one run, or a URI; the run's config.yaml is read from beside it.
    With torchrun, several GPUs share the images and captions.

    \b
    Examples:
      gckd evaluate runs/demo
      gckd evaluate runs/demo --split val --set evaluate.k_test=16
      torchrun --nproc-per-node 4 -m gckd evaluate CHECKPOINT
    """
    from gckd.data.dataset_pair import shared_datasets
    from gckd.distributed import process_group, rank
    from gckd.training.load import checkpoint_config, checkpoint_file
    from gckd.training.target_evaluation import evaluate_checkpoint

    edits = parse_edits(assignments)
    paths = [checkpoint_file(checkpoint) for checkpoint in checkpoints]
    configs = [checkpoint_config(path, edits) for path in paths]
    for path in paths:
        echo_plugin_notes(path)
    table, checkpoints_of = Table(*("checkpoint", "queries", "gallery", *METRICS.values())), dict[str, list[str]]()
    with process_group(*(config.device for config in configs)):
        for checkpoint, path, config in zip(checkpoints, paths, configs, strict=True):
            result = evaluate_checkpoint(config, path, cache, split, shared_datasets(config, cache))
            table.add_row(checkpoint, *_numbers(result))
            for note in result.notes:
                checkpoints_of.setdefault(note, []).append(checkpoint)
        if not rank():
            console = wide_console()
            console.print(table)
            for note, names in checkpoints_of.items():
                prefix = "" if len(names) == len(checkpoints) else f"{', '.join(names)}: "
                console.print(f"{prefix}{note}", style="dim", highlight=False, markup=False)


def _numbers(result: Evaluation) -> list[str]:
    return [str(result.queries), str(result.gallery), *(f"{result.metrics[name]:.1f}" for name in METRICS)]

"""`gckd train` and `gckd evaluate`: one run, one checkpoint; no Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.table import Table

from gckd.cli.options import (
    cache_option,
    config_options,
    plugin_option,
    set_option,
    threads_for_torch,
)
from gckd.config import Config, apply, parse_edits
from gckd.report.console import wide_console
from gckd.report.summary import METRICS
from gckd.report.table_report import write_report
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath

if TYPE_CHECKING:
    from gckd.training.target_evaluation import Evaluation


@click.command()
@config_options
@click.option("--seed", type=int, help="Seed of weights, batches and augmentation; seed=N of --set.")
@click.option("--out", metavar="FOLDER|URI", help="For the checkpoint and the records: a folder, or s3://BUCKET/NAME.")
@click.option("--resume", is_flag=True, help="Go on with what --out holds.")
@cache_option
def train(config: Config, seed: int | None, out: str | None, resume: bool, cache: CachePath) -> None:
    """Train one run: pre-train on the source (or reuse that), adapt to the target, evaluate once.

    On several GPUs or machines: torchrun --nproc-per-node N -m gckd train ... shares every batch between N workers.
    """
    import torch

    from gckd.distributed import process_group, rank
    from gckd.runs.local import train_as_worker, train_single
    from gckd.runs.progress_display import display
    from gckd.training.run import train_run

    torch.set_num_threads(threads_for_torch())
    config = config if seed in (None, config.seed) else apply(config, {"seed": seed})
    place = StoragePath.at(out) if out else None
    with process_group(config.device):
        if rank():
            train_as_worker(config, train_run, cache=cache, out=place)
            return
        recorded = train_single(config, train_run, cache=cache, out=place, resume=resume, display=display())
    write_report(recorded.mirror.folder, wide_console())
    recorded.mirror.upload()
    click.echo(f"written to {recorded.mirror.out}", err=True)


@click.command()
@click.argument("checkpoints", metavar="CHECKPOINT...", nargs=-1, required=True)
@click.option("--split", type=click.Choice(["val", "test"]), default="test", show_default=True, help="Of the target.")
@plugin_option
@set_option
@cache_option
def evaluate(checkpoints: tuple[str, ...], split: str, assignments: tuple[str, ...], cache: CachePath) -> None:
    """Evaluate each CHECKPOINT (a file or URI) by the config.yaml beside it.

    On several GPUs or machines: torchrun --nproc-per-node N -m gckd evaluate ... shares the images and captions.
    """
    edits = parse_edits(assignments)
    places = [StoragePath.at(checkpoint) for checkpoint in checkpoints]
    from gckd.training.load import checkpoint_config

    configs = [checkpoint_config(place, edits) for place in places]
    from gckd.data.dataset_pair import shared_datasets
    from gckd.distributed import process_group, rank
    from gckd.training.target_evaluation import evaluate_checkpoint

    table = Table(*("checkpoint", "queries", "gallery", *METRICS.values()))
    with process_group(*(config.device for config in configs)):
        for checkpoint, place, config in zip(checkpoints, places, configs, strict=True):
            result = evaluate_checkpoint(config, place, cache, split, shared_datasets(config, cache))
            table.add_row(checkpoint, *_numbers(result))
        if not rank():
            wide_console().print(table)


def _numbers(result: Evaluation) -> list[str]:
    return [str(result.queries), str(result.gallery), *(f"{result.metrics[name]:.1f}" for name in METRICS)]

"""`gckd train` and `gckd evaluate`: one run, one checkpoint; no Ray."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from gckd.cli.options import cache_option, config_options, set_option, threads_for_torch
from gckd.config import Config, apply, parse_edits
from gckd.errors import InputError
from gckd.report.read import read_config
from gckd.report.summary import METRICS
from gckd.report.write import wide_console, write_report

if TYPE_CHECKING:
    from gckd.train import RunResult


@click.command()
@config_options
@click.option("--seed", type=int, help="Seed of weights, batches and augmentation; seed=N of --set.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the checkpoint and the records.")
@click.option("--resume", is_flag=True, help="Go on with what --out holds.")
@cache_option
def train(config: Config, seed: int | None, out: Path | None, resume: bool, cache: Path) -> None:
    """Train one run: pre-train on the source (or reuse that), adapt to the target, evaluate once.

    On several GPUs or machines: torchrun --nproc-per-node N -m gckd train ... shares every batch between N workers.
    """
    import torch

    from gckd.dist.display import display
    from gckd.dist.single import follow, train_single
    from gckd.train import run
    from gckd.train.workers import group, rank

    torch.set_num_threads(threads_for_torch())
    config = config if seed in (None, config.seed) else apply(config, {"seed": seed})
    with group():
        if rank():
            follow(config, run, cache=cache, out=out)
            return
        folder = train_single(config, run, cache=cache, out=out, resume=resume, display=display())
    write_report(folder, wide_console())
    click.echo(f"written to {folder}", err=True)


@click.command()
@click.argument("checkpoints", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--split", type=click.Choice(["val", "test"]), default="test", show_default=True, help="Of the target.")
@set_option
@cache_option
def evaluate(checkpoints: tuple[Path, ...], split: str, assignments: tuple[str, ...], cache: Path) -> None:
    """Evaluate each of CHECKPOINTS by the config.yaml beside it."""
    edits = parse_edits(assignments)
    configs = []
    for checkpoint in checkpoints:
        if not checkpoint.is_file():
            raise InputError(f"{checkpoint}: there is no such checkpoint file")
        config = read_config(checkpoint.parent / "config.yaml")
        configs.append(apply(config, edits) if edits else config)
    from gckd.train import evaluate_checkpoint

    table = Table(*("checkpoint", "queries", "gallery", *METRICS.values()))
    for checkpoint, config in zip(checkpoints, configs, strict=True):
        result = evaluate_checkpoint(config, checkpoint, cache, split)
        table.add_row(str(checkpoint), *_numbers(result))
    wide_console().print(table)


def _numbers(result: RunResult) -> list[str]:
    return [str(result.queries), str(result.gallery), *(f"{result.metrics[name]:.1f}" for name in METRICS)]

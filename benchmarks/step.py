"""Time of a training step for each row of the component table."""

from __future__ import annotations

import dataclasses
import functools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.options import config_options
from benchmarks.timing import interleaved
from gckd.ablations.components import drop_edits
from gckd.config import Config, apply, parse_edits, preset
from gckd.config.stages import Adapt, Pretrain
from gckd.data.dataset_pair import DatasetPair, open_datasets
from gckd.data.street import make_street
from gckd.estimate.steps import pretraining, stage_of
from gckd.method.build import build_parts, build_step
from gckd.method.warm_start import WarmStart
from gckd.models.build import build_model
from gckd.progress import Progress
from gckd.report.console import wide_console
from gckd.training.pretrain import source_checkpoint
from gckd.training.trainer import Stage

SOURCE, TARGET = "ICFG-PEDES", "RSTPReid"
AT_LEAST_ONE = click.IntRange(min=1)
ROWS = {
    "source only (-gmp-cmkd)": ("gmp", "cmkd"),
    "CMKD without GMP (-gmp)": ("gmp",),
    "GMP without CMKD (-cmkd)": ("cmkd",),
    "full": (),
}


def seconds_a_step(stage: Stage, period: int, folder: Path) -> float:
    """Mean seconds of a step over whole periods of the schedule, without the first and last step."""
    schedule: Pretrain | Adapt = stage.schedule  # type: ignore[assignment]
    moments: list[float] = []

    def report(_: Progress) -> None:
        moments.append(time.perf_counter())

    steps = period + 2
    short = dataclasses.replace(schedule, steps=steps, evaluations=1)
    checkpoint = folder / "checkpoint.pt"
    dataclasses.replace(stage, schedule=short, report=report, curve=[]).run(checkpoint)
    checkpoint.unlink()  # 3 GB at full size, and the next round starts anew
    return (moments[-2] - moments[0]) / period


def adaptation(config: Config, datasets: DatasetPair, cache: Path | None) -> Stage:
    """Adaptation of a backbone with filled banks; `cache`: of its source model, None: the backbone is not trained.

    Captions of an untrained backbone share their nearest neighbours more than those of a trained one. So the two-hop
    neighbourhood of a batch, and with it the cost of the graph, is smaller than in a real run.
    """
    feed = datasets.feed(config, config.adapt.batch)
    student = build_model(config, datasets.tokenizer.vocabulary)
    if cache:
        source_model = source_checkpoint(config, datasets, cache, lambda _: None)
        student.load_state_dict(source_model["modules"]["model"])
    parts = build_parts(config, feed, student)
    step = build_step(parts)
    step.warm_start(WarmStart())
    return stage_of(parts, step)


def measurements(
    config: Config, datasets: DatasetPair, cache: Path | None, periods: int, folder: Path
) -> dict[str, Callable[[], float]]:
    """Measurements by name."""
    stages = {"pre-training": pretraining(config, datasets)}
    for name, dropped in ROWS.items():
        edits = drop_edits(frozenset(dropped), config) if dropped else {}
        stages[name] = adaptation(apply(config, edits) if edits else config, datasets, cache)
    every = {"pretrain": config.pretrain.fusion_every, "adapt": config.adapt.fusion_every}
    return {
        name: functools.partial(seconds_a_step, stage, periods * every[stage.name], folder)
        for name, stage in stages.items()
    }


@click.command()
@config_options("tiny")
@click.option("--ids", default=240, show_default=True, help="Train identities of the street; they limit the banks.")
@click.option("--periods", default=2, show_default=True, type=AT_LEAST_ONE, help="Periods of fusion_every per round.")
@click.option("--rounds", default=5, show_default=True, type=AT_LEAST_ONE, help="Rounds behind each median.")
@click.option("--threads", default=1, show_default=True, type=AT_LEAST_ONE, help="Threads of PyTorch.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Cache of the source model, which is trained first if it is not there; default: the backbone is not trained.",
)
def main(
    name: str, assignments: tuple[str, ...], ids: int, periods: int, rounds: int, threads: int, cache: Path | None
) -> None:
    """Measure seconds per optimiser step: pre-training, and adaptation with and without the graph and the teacher.

    Draws a small street in a temporary folder. Matching and MLM run at every fusion_every-th step only, so a round
    covers whole periods and reports the mean over their steps. Rows are interleaved; the table shows medians. Without
    a trained backbone (`--cache`) the graph is cheaper than in a real run.

    \b
    python benchmarks/step.py --ids 1200 --cache CACHE  # banks as large as in the component table
    python benchmarks/step.py --set adapt.batch=32
    """
    torch.set_num_threads(threads)
    config, console = preset(name), wide_console()
    config = apply(config, parse_edits(assignments)) if assignments else config
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        training = "training its source model unless CACHE has it, " if cache else ""
        Console(stderr=True).print(f"drawing a street, {training}filling the banks ...")
        make_street(folder / "street", ids=ids, domains=(SOURCE, TARGET))
        paths = {"data.source": str(folder / "street" / SOURCE), "data.target": str(folder / "street" / TARGET)}
        config = apply(config, paths)
        datasets = open_datasets(config, folder / "cache")
        seconds = interleaved(measurements(config, datasets, cache, periods, folder), rounds)
    backbone = "source model" if cache else "untrained backbone"
    caption = f"{name}, {threads} thread(s), {ids} train identities, {backbone}"
    table = Table("step", "seconds", "x source only", caption=caption)
    base = seconds["source only (-gmp-cmkd)"]
    for row, value in seconds.items():
        table.add_row(row, f"{value:.3f}", f"{value / base:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()

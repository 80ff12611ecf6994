"""GPU work of an adaptation step by part: kernels, waits of the CPU, FLOPs, bytes and memory, counted without a GPU."""

from __future__ import annotations

import contextlib
import functools
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks.options import config_options
from benchmarks.step import SOURCE, TARGET
from gckd.config import Config, apply, parse_edits, preset
from gckd.data.batches import Feed
from gckd.data.dataset_pair import DatasetPair, open_datasets
from gckd.data.street import make_street
from gckd.device import on_device
from gckd.estimate.kernel_counter import Counts, KernelCounter
from gckd.estimate.steps import adaptation, count_third_step
from gckd.method.parts import Parts
from gckd.method.step import CrossDomain, SourceOnly
from gckd.pretended_cuda.device import pretended_cuda
from gckd.report.console import wide_console
from gckd.training.optimizer import ScheduledOptimizer

REST = "losses and batches"


def parts_of_a_step(parts: Parts, step: SourceOnly) -> list[tuple[object, str, str]]:
    """Methods whose work belongs to a part of the step: (owner, method, part)."""
    return [
        (type(parts.banks), "push", "teacher"),
        (parts.teacher, "update", "teacher"),
        (SourceOnly, "encode", "student"),
        (CrossDomain, "encode_jointly", "student"),
        (type(step), "fusion_terms", "source matching and MLM"),
        (type(step), "propagate", "graph"),
        (type(parts.matching), "__call__", "matching"),
        (Feed, "views", "augmentation"),
        (torch.Tensor, "backward", "backward"),
        (nn.utils, "clip_grad_norm_", "optimiser"),
        (ScheduledOptimizer, "zero_grad", "optimiser"),
        (ScheduledOptimizer, "step", "optimiser"),
    ]


def count_step(config: Config, datasets: DatasetPair, folder: Path, values: bool) -> dict[str, Counts]:
    """Counts of one step, by part. `values`: whether tensors have values, not shapes only."""
    counter = KernelCounter(REST)
    with pretended_cuda(values), on_device("cuda"), counter.observing(), contextlib.ExitStack() as stack:
        stage, parts, step = adaptation(config, datasets)
        for owner, method, part in parts_of_a_step(parts, step):
            stack.enter_context(counter.labelled(owner, method, part))
        count_third_step(stage, counter, folder / "checkpoint.pt")
    return counter.counts


def as_table(counts: dict[str, Counts], caption: str) -> Table:
    """Table of the counts, with a row for their sum."""
    columns = ("part", "kernels", "casts", "syncs", "uploads", "pinned", "GFLOP", "moved (MiB)", "peak (MiB)")
    table = Table(*columns, caption=caption)
    total = functools.reduce(Counts.__add__, counts.values())
    for part, value in [*sorted(counts.items(), key=lambda item: -item[1].kernels), ("step", total)]:
        sizes = f"{value.flops / 1e9:,.2f}", f"{value.moved / 2**20:,.0f}", f"{value.peak / 2**20:,.0f}"
        numbers = (value.kernels, value.casts, value.syncs, value.uploads, value.pinned)
        table.add_row(part, *(f"{number:,}" for number in numbers), *sizes)
    return table


@click.command()
@config_options("base")
@click.option("--shapes", is_flag=True, help="Compute no values: full size in half a minute; all pairs are accepted.")
def main(name: str, assignments: tuple[str, ...], shapes: bool) -> None:
    """Count the GPU work of an adaptation step by part, without a GPU.

    The step runs on the pretended CUDA device of the tests. A kernel is an operator that computes, so that an operator
    with several kernels counts once, such as fused attention or an update of all weights. A sync is a wait of the CPU
    for the GPU. The CPU also waits for uploads that are not pinned. Memory is that of tensors.

    Full size takes minutes and 30 GB, or half a minute with --shapes. Kernels, casts, syncs and uploads do not depend
    on the widths, the image size and C, so that a narrow model has those of the full one:

    \b
    python benchmarks/gpu_work.py --set data.height=64 --set data.width=32 \\
      --set backbone.vision.width=48 --set backbone.text.width=48 --set graph.memory.capacity=256
    python benchmarks/gpu_work.py --set distill.matching.delta=-1 ...    # every pair is accepted
    python benchmarks/gpu_work.py --shapes
    """
    config = apply(preset(name), {"tokenizer": "trained"} if name == "base" else {})
    config = apply(config, parse_edits(assignments)) if assignments else config
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        Console(stderr=True).print("drawing a street and counting a step ...")
        make_street(folder / "street", ids=48, domains=(SOURCE, TARGET))
        paths = {"data.source": str(folder / "street" / SOURCE), "data.target": str(folder / "street" / TARGET)}
        config = apply(config, paths)
        counts = count_step(config, open_datasets(config, folder / "cache"), folder, not shapes)
    wide_console().print(as_table(counts, f"one adaptation step of {name}, batches of {config.adapt.batch}"))


if __name__ == "__main__":
    main()

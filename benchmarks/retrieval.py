"""Time of one full-size step of ALBEF's retrieval objective on the CPU, as in the public implementation."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from pathlib import Path

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import torch
from rich.table import Table
from torch.nn import functional as F

from gckd.config import Config, apply, parse_edits, preset, value_at
from gckd.config.stages import MomentumDistillation
from gckd.data.types import Vocabulary
from gckd.models.build import build_model
from gckd.report.console import wide_console
from gckd.training.albef_objective import AlbefObjective, PairBatch
from gckd.training.optimizer import OPTIMIZERS, ScheduledOptimizer

AT_LEAST_ONE = click.IntRange(min=1)
WORDS, QUEUE, ALPHA = 30, 4096, 0.4
BERT = Vocabulary(size=30_522, end=102)


class Step:
    """Optimiser step: forward passes of model and momentum model, both losses, backward pass, AdamW."""

    def __init__(self, config: Config, batch: int) -> None:
        data, self.random = config.data, torch.Generator().manual_seed(0)
        model = build_model(config, BERT)
        node = MomentumDistillation(queue=QUEUE)
        self.objective = AlbefObjective(node, config, None, model, model)  # type: ignore[arg-type]  # batches are passed directly
        for bank in (self.objective.images, self.objective.texts):
            bank.push(F.normalize(torch.randn(QUEUE, model.embed_dim), dim=1), torch.arange(QUEUE), torch.arange(QUEUE))
        schedule = config.pretrain
        optimizers = OPTIMIZERS.build(schedule.optimizer, model, schedule.lr, schedule.weight_decay)
        self.optimizer = ScheduledOptimizer(optimizers)
        images = torch.randn(batch, 3, data.height, data.width)
        tokens = torch.randint(1000, BERT.size, (batch, WORDS))
        # Rows and identities that differ from every queue entry.
        new = torch.arange(QUEUE, QUEUE + batch)
        self.pairs = PairBatch(images, tokens, new, new, new)

    def __call__(self) -> tuple[float, float]:
        """Run the step; returns (wall-clock seconds, CPU seconds)."""
        begun, spent = time.perf_counter(), time.process_time()
        self.optimizer.zero_grad()
        online, momentum, contrastive = self.objective.contrastive(self.pairs, ALPHA)
        (contrastive + self.objective.matching(self.pairs, online, momentum, self.random)).backward()
        self.optimizer.step()
        return time.perf_counter() - begun, time.process_time() - spent


def product_share(step: Step) -> float:
    """Share of matrix products in a step's operator time, by PyTorch's profiler."""
    with torch.profiler.profile() as profiler:
        step()
    spent: dict[str, float] = {event.key: event.self_cpu_time_total for event in profiler.key_averages()}
    return sum(spent.get(f"aten::{name}", 0.0) for name in ("mm", "addmm", "bmm")) / sum(spent.values())


@click.command()
@click.option("--preset", "name", default="base", show_default=True, help="Preset of the config.")
@click.option("--set", "assignments", multiple=True, metavar="PATH=VALUE", help="Edit of the config: data.width=128.")
@click.option("--batch", default=4, show_default=True, type=click.IntRange(min=2), help="Image-caption pairs per step.")
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True)
@click.option("--threads", default=2, show_default=True, type=AT_LEAST_ONE, help="Threads of PyTorch.")
@click.option("--rounds", default=5, show_default=True, type=AT_LEAST_ONE, help="Steps behind each median.")
def main(name: str, assignments: tuple[str, ...], batch: int, precision: str, threads: int, rounds: int) -> None:
    """Measure seconds, CPU seconds and memory of one step at 224 x 224, 30 words, queues of 4,096, random weights.

    \b
    python benchmarks/retrieval.py
    python benchmarks/retrieval.py --precision bf16
    """
    torch.set_num_threads(threads)
    size = {"data.height": 224, "data.width": 224} if name == "base" else {}
    config = apply(preset(name), size | parse_edits(assignments))
    if precision != value_at(config, "backbone.compute.precision"):
        config = apply(config, {"backbone.compute.precision": precision})
    step = Step(config, batch)
    step()  # allocations, and the optimiser's state
    wall, cpu = zip(*(step() for _ in range(rounds)), strict=True)
    table = Table("full-size retrieval step", "median", caption=f"{batch} pairs, {precision}, {threads} threads")
    table.add_row("seconds", f"{statistics.median(wall):.2f}")
    table.add_row("CPU seconds", f"{statistics.median(cpu):.2f}")
    table.add_row("share of matrix products", f"{100 * product_share(step):.0f} %")
    table.add_row("peak memory", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    wide_console().print(table)


if __name__ == "__main__":
    main()

"""Time of one full-size step of ALBEF's retrieval objective on the CPU, as in the public implementation."""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import torch
from rich.table import Table
from torch.nn import functional as F

from benchmarks.public_albef import public_model, single_worker
from benchmarks.timing import cpu_seconds, interleaved, timed
from gckd.config import Config, apply, parse_edits, preset, value_at
from gckd.config.stages import MomentumDistillation
from gckd.data.types import Vocabulary
from gckd.models.build import build_model
from gckd.report.console import wide_console
from gckd.training.albef_objective import AlbefObjective, PairBatch
from gckd.training.optimizer import OPTIMIZERS, ScheduledOptimizer

AT_LEAST_ONE = click.IntRange(min=1)
SIZE, WORDS, QUEUE, ALPHA = 224, 30, 4096, 0.4
BERT = Vocabulary(size=30_522, end=102)


class Step:
    """Optimiser step of this project: forward passes of model and momentum model, both losses, backward pass, AdamW."""

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

    def __call__(self) -> None:
        self.optimizer.zero_grad()
        online, momentum, contrastive = self.objective.contrastive(self.pairs, ALPHA)
        (contrastive + self.objective.matching(self.pairs, online, momentum, self.random)).backward()
        self.optimizer.step()


class PublicStep:
    """The same step by the public implementation, in fp32; see `Retrieval.py` of salesforce/ALBEF."""

    def __init__(self, checkout: Path, size: int, batch: int) -> None:
        self.model = public_model(checkout, size, QUEUE).train()
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-5, weight_decay=0.02)
        self.images = torch.randn(batch, 3, size, size)
        tokens = torch.randint(1000, BERT.size, (batch, WORDS))
        self.text = SimpleNamespace(input_ids=tokens, attention_mask=torch.ones_like(tokens))
        self.indices = torch.arange(QUEUE, QUEUE + batch)

    def __call__(self) -> None:
        contrastive, matching = self.model(self.images, self.text, ALPHA, self.indices)
        self.optimizer.zero_grad()
        (contrastive + matching).backward()
        self.optimizer.step()


def product_share(step: Callable[[], None]) -> float:
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
@click.option(
    "--public",
    "checkout",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Checkout of salesforce/ALBEF, whose step in fp32 is timed in turn with this project's.",
)
def main(
    name: str,
    assignments: tuple[str, ...],
    batch: int,
    precision: str,
    threads: int,
    rounds: int,
    checkout: Path | None,
) -> None:
    """Measure seconds, CPU seconds and memory of one step at 224 x 224, 30 words, queues of 4,096, random weights.

    \b
    python benchmarks/retrieval.py
    python benchmarks/retrieval.py --precision bf16 --public ../ALBEF
    """
    if checkout and (name != "base" or assignments):
        raise click.UsageError("--public: the public model has the sizes of --preset base without --set")
    torch.set_num_threads(threads)
    size = {"data.height": SIZE, "data.width": SIZE} if name == "base" else {}
    config = apply(preset(name), size | parse_edits(assignments))
    if precision != value_at(config, "backbone.compute.precision"):
        config = apply(config, {"backbone.compute.precision": precision})
    with single_worker() if checkout else contextlib.nullcontext():
        steps: dict[str, Callable[[], None]] = {"gckd": Step(config, batch)}
        if checkout:
            steps["public"] = PublicStep(checkout, SIZE, batch)
        wide_console().print(table_of(steps, rounds, f"{batch} pairs, {precision}, {threads} threads"))


def table_of(steps: dict[str, Callable[[], None]], rounds: int, caption: str) -> Table:
    """Table of the medians of every step, and of their ratio."""
    times = {
        "seconds": interleaved({name: timed(step) for name, step in steps.items()}, rounds),
        "CPU seconds": interleaved({name: partial(cpu_seconds, step) for name, step in steps.items()}, rounds),
    }
    ratios = ["gckd / public"] if len(steps) > 1 else []
    table = Table("full-size retrieval step", *steps, *ratios, caption=caption)
    for label, seconds in times.items():
        quotient = [f"{seconds['gckd'] / seconds['public']:.2f}"] if ratios else []
        table.add_row(label, *(f"{value:.2f}" for value in seconds.values()), *quotient)
    table.add_row("share of matrix products", *(f"{100 * product_share(step):.0f} %" for step in steps.values()))
    table.add_row("peak memory", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    return table


if __name__ == "__main__":
    main()

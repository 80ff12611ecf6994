"""Time of a full-size adaptation step: images/s, memory, model FLOPs utilisation, share of each part."""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.options import config_options
from benchmarks.step import SOURCE, TARGET, seconds_a_step
from benchmarks.timing import interleaved, timed
from gckd.config import Config, apply, parse_edits, preset
from gckd.data.dataset_pair import DatasetPair, open_datasets
from gckd.data.street import make_street
from gckd.device import on_device
from gckd.estimate.steps import adaptation
from gckd.method.parts import Parts
from gckd.method.step import SourceOnly
from gckd.report.console import wide_console

AT_LEAST_ONE = click.IntRange(min=1)
NEVER = 1000  # fusion_every, so that none of the timed steps has matching or MLM


def flops_a_step(parts: Parts, step: SourceOnly, weights: dict[str, float]) -> int:
    """Floating-point operations of matrix products and attention in one step, including its backward pass."""
    with FlopCounterMode(display=False) as counter:
        torch.stack([weights[name] * term for name, term in step.terms(0).items()]).sum().backward()
    parts.student.zero_grad()
    return int(counter.get_total_flops())


def synchronised(work: Callable[[], object]) -> Callable[[], None]:
    """The work, followed by a wait for the GPU."""

    def wait() -> None:
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return wait


def variants(config: Config) -> dict[str, Config]:
    """Configs that each leave out one part of the step."""
    return {
        "graph": apply(config, {"graph.propagate": "none"}),
        "cross-domain matching": apply(config, {"distill.matching": "none"}),
        "all matching and MLM": apply(config, {"adapt.fusion_every": NEVER}),
    }


@click.command()
@config_options("base")
@click.option("--steps", default=10, show_default=True, type=AT_LEAST_ONE, help="Steps per round.")
@click.option("--rounds", default=3, show_default=True, type=AT_LEAST_ONE, help="Rounds behind each median.")
@click.option("--peak", default=989.0, show_default=True, help="Peak of the device in TFLOP/s: H100, bf16, dense.")
def main(name: str, assignments: tuple[str, ...], steps: int, rounds: int, peak: float) -> None:
    """Measure seconds, images/s, memory and model FLOPs utilisation of a full-size adaptation step, and of its parts.

    The share of a part is the difference to the step without it; for the teacher, the time of its forward pass. The
    vocabulary is trained on a small street, whose images are enlarged; banks hold C random unit vectors.

    \b
    python benchmarks/fullsize.py                                    # one GPU
    python benchmarks/fullsize.py --set backbone.compute.compile=true --set adapt.batch=64
    """
    config, console = apply(preset(name), {"tokenizer": "trained"} if name == "base" else {}), wide_console()
    config = apply(config, parse_edits(assignments)) if assignments else config
    with tempfile.TemporaryDirectory() as temporary, on_device(config.device):
        folder = Path(temporary)
        Console(stderr=True).print("drawing a street and building the models ...")
        make_street(folder / "street", ids=48, domains=(SOURCE, TARGET))
        paths = {"data.source": str(folder / "street" / SOURCE), "data.target": str(folder / "street" / TARGET)}
        config = apply(config, paths)
        datasets = open_datasets(config, folder / "cache")
        seconds, flops, memory = measure(config, datasets, steps, rounds, folder)
    console.print(as_table(config, seconds, flops, memory, peak))


def measure(
    config: Config, datasets: DatasetPair, steps: int, rounds: int, folder: Path
) -> tuple[dict[str, float], int, int]:
    """Median seconds of the step and of the step without each part, its FLOPs, and its peak GPU memory."""
    built = {"full step": adaptation(config, datasets)}
    stage, parts, step = built["full step"]
    memory = peak_memory(functools.partial(seconds_a_step, stage, steps, folder))  # before other models exist
    built |= {name: adaptation(variant, datasets) for name, variant in variants(config).items()}
    built["MLM"] = adaptation(config, datasets, without_mlm=True)
    work = {name: functools.partial(seconds_a_step, stage, steps, folder) for name, (stage, _, _) in built.items()}
    flops = flops_a_step(parts, step, dict(stage.weights))
    source, target = parts.feed.source.batch(0), parts.feed.target.batch(0)
    teacher = timed(synchronised(lambda: parts.banks.push(parts.teacher.model(), source, target)))
    return interleaved({**work, "teacher": teacher}, rounds), flops, memory


def peak_memory(work: Callable[[], object]) -> int:
    """Peak bytes of GPU memory that tensors used during `work`; 0 without a GPU."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    work()
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0


def as_table(config: Config, seconds: dict[str, float], flops: int, memory: int, peak: float) -> Table:
    """Table of the measurements."""
    whole, images = seconds["full step"], 2 * config.adapt.batch
    table = Table("full-size adaptation", "value", caption=f"{config.adapt.batch} images per domain and step")
    table.add_row("seconds per step", f"{whole:.4f}")
    table.add_row("images/s", f"{images / whole:.1f}")
    table.add_row("GPU memory", f"{memory / 2**30:.2f} GiB" if memory else "no GPU")
    table.add_row("TFLOP per step", f"{flops / 1e12:.3f}")
    table.add_row("model FLOPs utilisation", f"{100 * flops / whole / peak / 1e12:.2f} % of {peak:g} TFLOP/s")
    for name, value in seconds.items():
        if name != "full step":
            part = value if name == "teacher" else whole - value
            table.add_row(f"share of {name}", f"{100 * part / whole:.1f} %")
    return table


if __name__ == "__main__":
    main()

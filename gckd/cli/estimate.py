"""`gckd estimate`: memory and time of a run on a GPU, without the GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.table import Table

from gckd.cli.options import config_options
from gckd.errors import InputError
from gckd.estimate.gpus import GPUS, gpu
from gckd.estimate.run_estimate import ASSUMPTIONS, run_estimate
from gckd.estimate.trace import run_work
from gckd.report.console import wide_console
from gckd.runs.run_state import clock_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gckd.config import Config
    from gckd.estimate.gpus import Gpu
    from gckd.estimate.trace import RunWork

_GPU_HELP = f"GPU: {', '.join(GPUS)}.  [repeatable; default: all]"


@click.command()
@config_options
@click.option("--gpu", "names", multiple=True, metavar="NAME", help=_GPU_HELP)
def estimate(config: Config, names: tuple[str, ...]) -> None:
    """Estimate memory and time of a run on a GPU, without one.

    A real step runs on tensors that have shapes only. The work of its kernels and the data sheet of a GPU give the
    time. It is an estimate: nothing is measured, and no dataset is read. It takes half a minute for base.

    \b
    Examples:
      gckd estimate --preset base --gpu h100 --gpu l4
      gckd estimate --preset base --set data.width=128 --set adapt.batch=64
      gckd estimate --preset base --set backbone.compute.checkpointing=true
    """
    gpus = [gpu(name) for name in dict.fromkeys(names or GPUS)]
    if not (config.pretrain.steps or config.adapt.steps):
        raise InputError(
            "adapt.steps: 0 is outside its limit: >= 1 where pretrain.steps = 0; there is no step to estimate"
        )
    console, work = wide_console(), run_work(config)
    console.print(_work_table(work))
    console.print(_time_table(config, work, gpus))
    click.echo(ASSUMPTIONS)


def _work_table(work: RunWork) -> Table:
    """Work of one step of each stage."""
    table = Table("work of a step", *work._fields)
    rows = {
        "kernels": [f"{sum(step.kernels.values()):,.0f}" if step else "-" for step in work],
        "waits of the CPU": [f"{step.syncs:,.0f}" if step else "-" for step in work],
        "TFLOP": [f"{step.flops / 1e12:,.2f}" if step else "-" for step in work],
        "GiB read and written": [f"{step.moved / 2**30:,.1f}" if step else "-" for step in work],
        "GiB of tensors": [f"{step.peak / 2**30:,.1f}" if step else "-" for step in work],
    }
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def _time_table(config: Config, work: RunWork, gpus: Sequence[Gpu]) -> Table:
    """Estimate of each GPU."""
    table = Table(
        "GPU", "GiB needed", "GiB it has", "ms per pretrain step", "ms per adapt step", "pretrain", "adapt", "run"
    )
    for device in gpus:
        result = run_estimate(work, device)
        steps = [f"{1000 * time.seconds:,.0f}" if time else "-" for time in (result.pretrain, result.adapt)]
        stages = result.pretrain_seconds(config), result.adapt_seconds(config)
        clocks = [clock_text(seconds) for seconds in (*stages, sum(stages))] if result.fits else ["does not fit"] * 3
        table.add_row(device.title, f"{result.memory:,.1f}", f"{device.memory:,.0f}", *steps, *clocks)
    return table

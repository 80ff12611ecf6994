"""Options for the workers of a run or trial on Ray, which `gckd ablate` and `gckd tune` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from gckd.cli.parameter_types import AT_LEAST_ONE, GpuShare
from gckd.errors import InputError
from gckd.estimate.gpus import GPUS, gpu


def check_gpu(name: str | None, dry_run: bool) -> None:
    """Raises InputError if --gpu is unknown, or given without --dry-run."""
    if name is None:
        return
    gpu(name)
    if not dry_run:
        raise InputError("--gpu: is for estimates alone; add --dry-run, or remove it: runs use the GPUs of the cluster")


gpu_option = click.option(
    "--gpu",
    metavar="NAME",
    help=f"With --dry-run: estimate time and memory for this GPU instead of here: {', '.join(GPUS)}.",
)


def workers_option(unit: str, parameter: str) -> Callable[[Any], Any]:
    """Option --workers-per-run or --workers-per-trial.

    Args:
        unit: "run" or "trial".
        parameter: name of the parameter of the command.
    """
    return click.option(
        f"--workers-per-{unit}",
        parameter,
        default=1,
        show_default=True,
        type=AT_LEAST_ONE,
        help=f"Workers per {unit}; they share each batch.",
    )


def gpus_option(*former_names: str) -> Callable[[Any], Any]:
    """Option --gpus-per-worker, as the parameter `gpus`."""
    return click.option(
        "--gpus-per-worker",
        *former_names,
        "gpus",
        type=GpuShare(),
        help="GPUs per worker; a fraction shares one.  [default: 1 if the cluster has any]",
    )

"""Options of `gckd tune` beside those of the config."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from gckd.cli.options import LateHelpOption, track_option
from gckd.cli.parameter_types import AT_LEAST_ONE, LocalPath, WholeNumber
from gckd.cli.worker_options import gpu_option, gpus_option, workers_option
from gckd.cluster.trial import ORACLE
from gckd.tune.plan import OBJECTIVES, SCHEDULERS, SCORE
from gckd.tune.samplers import SAMPLERS
from gckd.validators import selectors


def _count_option(*names: str, default: int, text: str) -> Callable[[Any], Any]:
    return click.option(*names, default=default, show_default=True, type=AT_LEAST_ONE, help=text)


def _select_help() -> str:
    return f"Score that chooses epochs and trials: {', '.join(selectors())}; {ORACLE} uses target labels."


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--space",
        metavar="FILE",
        type=LocalPath(),
        help="Search space, a YAML file.  [default: K, delta, C and m]",
    ),
    _count_option("--trials", default=16, text="Trials in the study; a larger number extends it."),
    click.option("--concurrent", type=AT_LEAST_ONE, help="Concurrent trials.  [default: as many as the cluster fits]"),
    workers_option("trial", "workers"),
    gpus_option("--gpus-per-trial"),  # the name of version 0.1.0
    _count_option("--threads", default=1, text="CPU threads per worker."),
    click.option(
        "--scheduler",
        default="asha",
        show_default=True,
        metavar="|".join(SCHEDULERS),
        help="Early-stopping scheduler; none runs every trial to its end.",
    ),
    click.option("--sampler", default="tpe", show_default=True, metavar="|".join(SAMPLERS), help="Optuna sampler."),
    click.option(
        "--select",
        cls=LateHelpOption,
        late_help=_select_help,
        default="default",
        show_default=True,
        metavar="SCORE",
    ),
    click.option(
        "--objective",
        "objectives",
        multiple=True,
        default=(SCORE,),
        show_default=True,
        metavar="NAME",
        help=f"Objective of the search: {', '.join(OBJECTIVES)}. {SCORE} is the first.  [repeatable]",
    ),
    _count_option("--epochs", default=4, text="Evaluations per trial, evenly spaced over adapt.steps."),
    _count_option("--seeds-per-trial", "seeds", default=1, text="Seeds per trial; its scores are their means."),
    click.option(
        "--storage",
        metavar="URI",
        help="Optuna storage: journal:PATH or a database URL.  [default: a journal in --out]",
    ),
    click.option("--study", metavar="NAME", help="Name of the study in the storage.  [default: the name of --out]"),
    click.option(
        "--out",
        metavar="FOLDER|URI",
        help="Output: a folder that every node reaches, or s3://BUCKET/NAME (gs://, abfs://), to which the driver "
        "copies its folder runs/NAME-<digest>.  [default: runs/search-<digest>]",
    ),
    click.option("--resume", is_flag=True, help="Use an --out that is not empty. Not needed to resume a search."),
    click.option(
        "--audit/--no-audit",
        default=True,
        show_default=True,
        help="After the search, compare the scores with target labels. --no-audit reads none, so it also turns the "
        "confirmation off.",
    ),
    click.option(
        "--confirm-seeds",
        type=WholeNumber(0),
        default=3,
        show_default=True,
        help="Further seeds with which the chosen config, the base config and the source model are trained after the "
        "search and compared on target test; 0: off.",
    ),
    track_option,
    click.option("--mlflow", metavar="URI", help="Short for --track mlflow:URI."),
    click.option("--dry-run", is_flag=True, help="Check the input, print the plan and a time estimate, train nothing."),
    gpu_option,
)


def search_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options to a command, as keyword arguments with the names of the fields of `SearchOptions`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command

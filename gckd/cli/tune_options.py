"""The options of `tune/search.py`, beside those that say which config the search is around."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from gckd.cluster.trial import ORACLE
from gckd.errors import InputError
from gckd.tune.plan import OBJECTIVES, SCHEDULERS, SCORE
from gckd.tune.study import SAMPLERS
from gckd.validators.choose import SELECTORS

_AT_LEAST_ONE = click.IntRange(min=1)
_NOT_PBT = "; population-based training copies weights between trials: they would be no results of their own configs"


@dataclass(frozen=True)
class Options:
    """As the user gave them; None: to be found out."""

    space: Path | None
    trials: int
    concurrent: int | None
    workers: int
    gpus: float | None
    threads: int
    scheduler: str
    sampler: str
    select: str
    objectives: tuple[str, ...]
    epochs: int
    seeds: int
    storage: str | None
    study: str | None
    out: str | None
    resume: bool
    audit: bool
    mlflow: str | None
    dry_run: bool

    def check(self) -> None:
        """Refuses names that there are not. Raises InputError."""
        for option, given, known in (
            ("--select", (self.select,), (*SELECTORS, ORACLE)),
            ("--objective", self.objectives, tuple(OBJECTIVES)),
            ("--scheduler", (self.scheduler,), SCHEDULERS),
        ):
            wrong = [name for name in given if name not in known]
            if wrong:
                why = _NOT_PBT if wrong[0] == "pbt" else ""
                raise InputError(f"{option}: {wrong[0]!r} is not one of {', '.join(known)}{why}")
        if self.objectives[0] != SCORE:
            raise InputError(f"--objective: {self.objectives[0]!r} is first, and {SCORE} must be: it chooses the epoch")
        if len(set(self.objectives)) < len(self.objectives):
            raise InputError(f"--objective: {', '.join(self.objectives)} names one twice")
        if self.mlflow and importlib.util.find_spec("mlflow") is None:
            raise InputError(f"--mlflow: {self.mlflow} needs mlflow, which is not installed; pip install mlflow")
        if self.workers > 1 and self.seeds > 1:
            raise InputError("--seeds-per-trial: several seeds need --workers-per-trial 1")


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--space", type=click.Path(path_type=Path), help="YAML of what is searched.  [default: K, delta, C and m]"
    ),
    click.option(
        "--trials", default=16, show_default=True, type=_AT_LEAST_ONE, help="Wanted in the study; more extend it."
    ),
    click.option("--concurrent", type=_AT_LEAST_ONE, help="Trials at a time.  [default: as many as there is room for]"),
    click.option(
        "--workers-per-trial",
        "workers",
        default=1,
        show_default=True,
        type=_AT_LEAST_ONE,
        help="That share each batch.",
    ),
    click.option("--gpus-per-trial", "gpus", type=click.FloatRange(0), help="A worker.  [default: 1 if there are any]"),
    click.option("--threads", default=1, show_default=True, type=_AT_LEAST_ONE, help="CPU threads of a worker."),
    click.option("--scheduler", default="asha", show_default=True, metavar="|".join(SCHEDULERS), help="Stops trials."),
    click.option("--sampler", default="tpe", show_default=True, metavar="|".join(SAMPLERS), help="Proposes trials."),
    click.option(
        "--select",
        default="default",
        show_default=True,
        metavar="SCORE",
        help=f"Chooses epochs and trials: {', '.join(SELECTORS)}; oracle uses target labels.",
    ),
    click.option(
        "--objective",
        "objectives",
        multiple=True,
        default=(SCORE,),
        show_default=True,
        metavar="NAME",
        help=f"Of {', '.join(OBJECTIVES)}; {SCORE} comes first and chooses.  [repeatable]",
    ),
    click.option(
        "--epochs", default=4, show_default=True, type=_AT_LEAST_ONE, help="Evaluations, evenly over adapt.steps."
    ),
    click.option(
        "--seeds-per-trial", "seeds", default=1, show_default=True, type=_AT_LEAST_ONE, help="A trial's mean."
    ),
    click.option("--storage", metavar="URI", help="journal:PATH, or a database's URL.  [default: a journal in --out]"),
    click.option("--study", metavar="NAME", help="Its name in the storage.  [default: that of --out]"),
    click.option(
        "--out",
        metavar="DIR|URI",
        help="Folder that every node sees, or s3://BUCKET/NAME (gs://, abfs://): then the study's journal is in "
        "runs/NAME-<digest>, and copied there.  [default: runs/search-<digest>]",
    ),
    click.option("--resume", is_flag=True, help="Go on with what --out holds; the same command again does so too."),
    click.option(
        "--audit/--no-audit", default=True, show_default=True, help="Hold the scores against target labels afterwards."
    ),
    click.option("--mlflow", metavar="URI", help="Log trials to this MLflow tracking server too."),
    click.option("--dry-run", is_flag=True, help="Check everything, print the plan, train nothing."),
)


def search_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds them to a command; they come as keyword arguments named like the fields of `Options`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command

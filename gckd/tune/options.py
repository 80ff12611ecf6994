"""Options of a search, as the user gives them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gckd.cluster.trial import ORACLE
from gckd.cluster.worker_resources import worker_resources
from gckd.errors import InputError, unknown_choice
from gckd.runs.tracker import check_trackers
from gckd.tune.plan import OBJECTIVES, SCHEDULERS, SCORE, Plan
from gckd.tune.samplers import SAMPLERS
from gckd.validators import selectors

_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]+@")
_NO_PBT = (
    "; population-based training copies weights between trials, so that a trial's result is not that of its config"
)


class NextCommand(NamedTuple):
    """Command that a report proposes, for a shell, and its purpose: `to PURPOSE`."""

    purpose: str
    text: str


@dataclass(frozen=True)
class SearchOptions:
    """Options of `gckd tune` beside the config and the cache. None: chosen by the search."""

    space: Path | None  # YAML file
    trials: int
    concurrent: int | None  # trials at a time
    workers: int  # per trial
    gpus: float | None  # per worker
    threads: int  # CPU threads per worker
    scheduler: str
    sampler: str
    select: str  # score that chooses epochs and trials
    objectives: tuple[str, ...]
    epochs: int  # evaluations per trial
    seeds: int  # per trial
    storage: str | None  # URI
    study: str | None  # name
    out: str | None  # folder or URI
    resume: bool
    audit: bool
    confirm_seeds: int  # of the confirmation; 0: none
    track: tuple[str, ...]  # see gckd.runs.tracker
    mlflow: str | None  # tracking URI: the option of version 0.1.0
    dry_run: bool
    gpu: str | None  # that a dry run estimates for; None: this machine
    command: tuple[str, ...]  # program and arguments as the user gave them

    def check(self) -> None:
        """Raises InputError: an unknown name, a missing package, or options that conflict."""
        for noun, option, names, choices in (
            ("score", "--select", (self.select,), (*selectors(), ORACLE)),
            ("objective", "--objective", self.objectives, tuple(OBJECTIVES)),
            ("scheduler", "--scheduler", (self.scheduler,), SCHEDULERS),
            ("sampler", "--sampler", (self.sampler,), tuple(SAMPLERS)),
        ):
            unknown = [name for name in names if name not in choices]
            if unknown:
                reason = _NO_PBT if unknown[0] == "pbt" else ""
                raise InputError(f"{option}: {unknown_choice(noun, unknown[0], choices)}{reason}")
        if self.objectives[0] != SCORE:
            raise InputError(
                f"--objective: {self.objectives[0]!r} comes first; name {SCORE} first, which selects the epoch"
            )
        if len(set(self.objectives)) < len(self.objectives):
            raise InputError(f"--objective: {', '.join(self.objectives)}: name each objective once")
        check_trackers(self.trackers)
        if self.workers > 1 and self.seeds > 1:
            raise InputError("--seeds-per-trial: several seeds need --workers-per-trial 1")

    @property
    def trackers(self) -> tuple[str, ...]:
        """Trackers, with that of --mlflow."""
        return (*self.track, f"mlflow:{self.mlflow}") if self.mlflow else self.track

    @property
    def confirmation_seeds(self) -> int:
        """Number of seeds of the confirmation, which reads target labels like the audit; 0: none."""
        return self.confirm_seeds if self.audit else 0

    def next_command(self, interrupted: bool) -> NextCommand:
        """The user's command if the search was interrupted, else for twice as many trials. Passwords are left out."""
        if interrupted:
            return NextCommand("resume the search", shlex.join(map(_without_password, self.command)))
        words, skip = list[str](), False
        for word in self.command:
            if not skip and word != "--trials" and not word.startswith("--trials="):
                words.append(_without_password(word))
            skip = word == "--trials"
        command = shlex.join([*words, "--trials", str(2 * self.trials)])
        return NextCommand("extend the study to twice as many trials", command)

    def plan(self, resources: Mapping[str, float], device: str, first_seed: int) -> Plan:
        """The plan on a cluster; by default as many trials at a time as it has room for.

        Args:
            resources: of the cluster, "CPU" and "GPU".
            device: of the search's config.
            first_seed: seed of the search's config; further seeds of a trial follow it.
        """
        per_trial = worker_resources(resources, [device], workers=self.workers, threads=self.threads, gpus=self.gpus)
        return Plan(
            trials=self.trials,
            concurrent=self.concurrent or per_trial.room(resources),
            resources=per_trial,
            scheduler=self.scheduler,
            objectives=self.objectives,
            seeds=range(first_seed, first_seed + self.seeds),
            confirmation_seeds=self.confirmation_seeds,
        )


def _without_password(word: str) -> str:
    return _PASSWORD.sub(r"\1***@", word)

"""Driver of a search whose trials train nothing: `python hollow.py FOLDER TRIALS CONCURRENT SECONDS`.

Tune, searcher, scheduler, study and storage are those of a real search. It runs on the Ray that RAY_ADDRESS names,
writes its study to FOLDER, and prints the resources it used as one line of JSON (`Used`).
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import optuna
import psutil

from gckd.cluster.connect import cluster
from gckd.cluster.trial import Search, score_names
from gckd.cluster.worker_resources import WorkerResources
from gckd.config import Config, apply, encode, preset
from gckd.storage.path import StoragePath
from gckd.tune.engine import Engine
from gckd.tune.plan import Plan
from gckd.tune.samplers import make_sampler
from gckd.tune.search_display import SearchDisplay
from gckd.tune.space.space import load_space
from gckd.tune.storage import open_storage
from gckd.tune.study import open_study

if TYPE_CHECKING:
    from optuna import Study

NAME = "hollow"
EPOCHS = 4
# Stored with the scores of each epoch: start of the trial and time of the report (s since 1970), and the worker's pid.
STARTED, REPORTED, WORKER = "started", "reported", "worker"


@dataclasses.dataclass(frozen=True)
class Used:
    """Resources of a driver at the end of each trial: wall-clock and CPU seconds, and memory (MiB).

    closing: seconds from the last trial's end until Tune returned. files: open files and sockets at that moment.
    """

    seconds: list[float]
    cpu: list[float]
    memory: list[float]
    closing: float
    files: int


def results(number: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Random results of trial `number`, one per epoch of `seconds`, in the form of `gckd.cluster.trial.results`."""
    started, random_number = time.time(), random.Random(number).random
    for epoch in range(1, EPOCHS + 1):
        time.sleep(seconds)
        scores = {name: random_number() for name in score_names()}
        scores |= {STARTED: started, REPORTED: time.time(), WORKER: os.getpid()}
        used = {"seconds": seconds * epoch, "memory_gib": 0.1}
        yield {"epoch": epoch, "score": random_number(), "scores": scores, **used, "done_all": epoch == EPOCHS}


def config() -> Config:
    return apply(preset("tiny"), {"adapt.evaluations": EPOCHS})


def hollow_study(folder: Path, trials: Config, sampler: str = "tpe", storage: str | None = None) -> Study:
    """Empty study of the default space around the config `trials`."""
    space, _ = load_space().check(trials, 65536)
    attrs = {"base": encode(trials), "space": space.encode(), "select": "default", "objectives": ["score"]}
    return open_study(open_storage(storage, folder), NAME, make_sampler(sampler, 0), ["maximize"], attrs)


class HollowEngine(Engine):
    """Engine of a search whose trials yield `results`."""

    seconds: float  # length of an epoch

    def _trainable(self, tune: Any) -> Any:
        from gckd.cluster.trainable import SingleWorkerTrial

        seconds = self.seconds

        class Hollow(SingleWorkerTrial):  # defined here: importing ray earlier would bind it beyond loopback
            def setup(self, config: dict[str, Any], search: Search | None = None) -> None:
                self._results = results(config["number"], seconds)

            def reset_config(self, new_config: dict[str, Any]) -> bool:
                self._results = results(new_config["number"], seconds)
                return True

        return tune.with_resources(tune.with_parameters(Hollow, search=self.search), {"cpu": 1})


def run(folder: Path, plan: Plan, seconds: float) -> Used:
    """Run a search of `plan` with epochs of `seconds`, with its study in `folder`."""
    base = config()
    space, _ = load_space().check(base, 65536)
    study = hollow_study(folder, base)
    search = Search(base, folder, "default", plan.resources.threads, start={})
    ends: list[tuple[float, float, float]] = []

    def note() -> None:  # Tune pickles it
        ends.append((time.perf_counter(), time.process_time(), psutil.Process().memory_info().rss / 2**20))

    with cluster(1, plan.resources.threads) as (ray, interruption):
        display = SearchDisplay(io.StringIO())
        engine = HollowEngine(ray, interruption, plan, search, StoragePath.at(folder), folder, display, note)
        engine.seconds = seconds
        engine.trials(study, space, owner="hollow")
        closing = time.perf_counter() - ends[-1][0]
        wall, cpu, memory = map(list, zip(*ends, strict=True))
        return Used(wall, cpu, memory, closing, psutil.Process().num_fds())


def plan_of(trials: int, concurrent: int) -> Plan:
    common: Mapping[str, Any] = {"resources": WorkerResources(), "objectives": ["score"], "seeds": [0]}
    return Plan(trials=trials, concurrent=concurrent, scheduler="asha", confirmation_seeds=0, **common)


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder, trials, concurrent, seconds = sys.argv[1:]
    used = run(Path(folder), plan_of(int(trials), int(concurrent)), float(seconds))
    sys.stdout.write(json.dumps(dataclasses.asdict(used)) + "\n")

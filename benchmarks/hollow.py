"""The driver of a search whose trials train nothing: `python hollow.py FOLDER TRIALS CONCURRENT SECONDS`.

Tune, the searcher, the scheduler, the study and its storage are the search's own. It runs on the Ray that RAY_ADDRESS
names, leaves its study in FOLDER, and prints what it used as one line of JSON (`Used`).
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

if __name__ == "__main__":  # run as a script: the checkout it lies in, before any installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import optuna
import psutil

from gckd.cluster.connect import cluster
from gckd.cluster.trial import Search, score_names
from gckd.config import Config, apply, encode, preset
from gckd.runs.progress_display import PlainDisplay
from gckd.storage.path import StoragePath
from gckd.tune.engine import Engine
from gckd.tune.plan import Plan
from gckd.tune.space.space import load_space
from gckd.tune.storage import open_storage
from gckd.tune.study import make_sampler, open_study

if TYPE_CHECKING:
    from optuna import Study

NAME = "hollow"
EPOCHS = 4
# Beside the scores, where the study keeps them: when a trial began and when it said this, in s since 1970, and its pid.
BEGAN, SAID, WORKER = "began", "said", "worker"


@dataclasses.dataclass(frozen=True)
class Used:
    """What a driver had used whenever a trial ended: wall-clock and CPU seconds, and the memory it held (MiB).

    closing: seconds from the last trial's end until Tune let go. files: open then, sockets too.
    """

    seconds: list[float]
    cpu: list[float]
    memory: list[float]
    closing: float
    files: int


def results(number: int, seconds: float) -> Iterator[dict[str, Any]]:
    """As `gckd.cluster.trial.results`: what trial `number` says after each epoch; an epoch takes `seconds`."""
    began, luck = time.time(), random.Random(number)
    for epoch in range(1, EPOCHS + 1):
        time.sleep(seconds)
        scores = {name: luck.random() for name in score_names()}
        scores |= {BEGAN: began, SAID: time.time(), WORKER: os.getpid()}
        used = {"seconds": seconds * epoch, "memory_gib": 0.1}
        yield {"epoch": epoch, "score": luck.random(), "scores": scores, **used, "done_all": epoch == EPOCHS}


def config() -> Config:
    return apply(preset("tiny"), {"adapt.evaluations": EPOCHS})


def hollow_study(folder: Path, trials: Config, sampler: str = "tpe", storage: str | None = None) -> Study:
    """An empty study of the default space around `trials`."""
    space, _ = load_space().check(trials, 65536)
    attrs = {"base": encode(trials), "space": space.encode(), "select": "default", "objectives": ["score"]}
    return open_study(open_storage(storage, folder), NAME, make_sampler(sampler, 0), ["maximize"], attrs)


class HollowEngine(Engine):
    """The engine of a search, with trials of `results`."""

    seconds: float  # of an epoch

    def _trainable(self, tune: Any) -> Any:
        from gckd.cluster.trainable import SingleWorkerTrial

        seconds = self.seconds

        class Hollow(SingleWorkerTrial):  # here, for ray cannot be imported before it is kept to loopback
            def setup(self, config: dict[str, Any], search: Search | None = None) -> None:
                self._results = results(config["number"], seconds)

            def reset_config(self, new_config: dict[str, Any]) -> bool:
                self._results = results(new_config["number"], seconds)
                return True

        return tune.with_resources(tune.with_parameters(Hollow, search=self.search), {"cpu": 1})


def run(folder: Path, plan: Plan, seconds: float) -> Used:
    """Runs a search of `plan` with epochs of `seconds`; its study is in `folder`."""
    base = config()
    space, _ = load_space().check(base, 65536)
    study = hollow_study(folder, base)
    search = Search(base, folder, "default", plan.threads, start={})
    ends: list[tuple[float, float, float]] = []

    def note() -> None:  # Tune pickles it
        ends.append((time.perf_counter(), time.process_time(), psutil.Process().memory_info().rss / 2**20))

    with cluster(1, plan.threads) as (ray, interruption):
        display = PlainDisplay(io.StringIO())
        engine = HollowEngine(ray, interruption, plan, search, StoragePath.at(folder), folder, display, note)
        engine.seconds = seconds
        engine.trials(study, space, owner="hollow")
        closing = time.perf_counter() - ends[-1][0]
        wall, cpu, memory = map(list, zip(*ends, strict=True))
        return Used(wall, cpu, memory, closing, psutil.Process().num_fds())


def plan_of(trials: int, concurrent: int) -> Plan:
    common: Mapping[str, Any] = {"workers": 1, "threads": 1, "gpus": 0.0, "objectives": ["score"], "seeds": [0]}
    return Plan(trials=trials, concurrent=concurrent, scheduler="asha", mlflow=None, **common)


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    where, trials, concurrent, seconds = sys.argv[1:]
    found = run(Path(where), plan_of(int(trials), int(concurrent)), float(seconds))
    sys.stdout.write(json.dumps(dataclasses.asdict(found)) + "\n")

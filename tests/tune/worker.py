"""Process that runs a search without Ray: `python worker.py URI STUDY OWNER BUDGET [DIE_AFTER]`.

Acts as Tune for a StudySearcher: two trials at a time, three epochs each, with values that depend only on the edits. It
prints `ready` and starts when it reads a line; then it prints the numbers of the trials that it finishes, one per line.
After DIE_AFTER of them it kills itself while trials are running.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import optuna

from gckd.config import encode, preset
from gckd.tune.samplers import make_sampler
from gckd.tune.searcher import StudySearcher
from gckd.tune.space.space import load_space
from gckd.tune.storage import open_storage
from gckd.tune.study import open_study

EPOCHS = 3


def score(edits: dict[str, Any], epoch: int) -> float:
    """Best at the second epoch."""
    k, delta = edits["graph.propagate.k"], edits["distill.matching.delta"]
    return -abs(k - 10) / 10 - abs(delta - 0.6) - abs(epoch - 2)


def open_searcher(uri: str, name: str, owner: str, budget: int) -> StudySearcher:
    base = preset("tiny")
    space, _ = load_space().check(base, 4096)
    start = space.start(base)
    study = open_study(
        open_storage(uri, Path()),
        name,
        make_sampler("tpe", 0),
        ["maximize"],
        {"base": encode(base), "space": space.encode(), "select": "default", "revision": owner},
        [start] if start else [],
    )
    return StudySearcher(study, space, base, owner=owner, budget=budget, folder=owner, objectives={"score": "max"})


def write_line(content: object) -> None:
    sys.stdout.write(f"{content}\n")
    sys.stdout.flush()


def main(uri: str, name: str, owner: str, budget: str, die_after: str = "1000000") -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    searcher = open_searcher(uri, name, owner, int(budget))
    write_line("ready")
    sys.stdin.readline()
    running: list[tuple[str, dict[str, Any]]] = []
    finished = started = 0
    more = True
    while more or running:
        while more and len(running) < 2:
            config: Any = searcher.suggest(f"{owner}-{started}")
            more = config != "FINISHED"
            if config is None:  # ask again
                break
            if more:
                running.append((f"{owner}-{started}", config))
                started += 1
        if not running:
            time.sleep(0.1)
            continue
        trial_id, config = running.pop(0)
        for epoch in range(1, EPOCHS + 1):
            last = epoch == EPOCHS
            result = {"epoch": epoch, "score": score(config["edits"], epoch), "seconds": 0.1 * epoch, "done_all": last}
            if not last:
                searcher.on_trial_result(trial_id, result)
        searcher.on_trial_complete(trial_id, result)
        write_line(config["number"])
        finished += 1
        if finished == int(die_after):
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])

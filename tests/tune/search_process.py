"""A folder where `python tune/search.py` is run as a process, on a real Ray."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import psutil
import pytest
from optuna.trial import FrozenTrial

from gckd.config import Config, to_yaml
from gckd.tune.storage import open_storage
from tests.toy import make_toy
from tests.training.micro import micro

ROOT = Path(__file__).resolve().parents[2]
SPACE = "graph.propagate.k: {int: [1, 4]}\ndistill.teacher.m: {one_minus: [0.01, 0.5], log: true}\n"
EPOCHS = 3
TRIAL = "ray::ResourceTrainable"  # what Ray calls the worker of a trial
PATIENCE = 280.0  # seconds; some twenty on an idle machine


class SearchFolder:
    """A folder with two toy datasets, a config and a space, where the command is run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        self.started: list[subprocess.Popen[str]] = []
        self.ray: dict[str, str] = {}  # variables that say which Ray; none: an embedded one
        self.configure(micro(make_toy(folder / "source"), make_toy(folder / "target", shade=120)))
        (folder / "space.yaml").write_text(SPACE)

    def configure(self, config: Config) -> None:
        self.config = config
        (self.folder / "config.yaml").write_text(to_yaml(config))

    def start(self, *arguments: str, out: str = "out") -> subprocess.Popen[str]:
        fixed = ["--config", "config.yaml", "--space", "space.yaml", "--cache", "cache", "--out", out]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | self.ray
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(ROOT / "tune" / "search.py"), *fixed, "--epochs", str(EPOCHS), *arguments]
        process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str, status: int = 0, out: str = "out") -> str:
        return ended(self.start(*arguments, out=out), status)

    def trials(self, out: str = "out", study: str | None = None) -> list[FrozenTrial]:
        storage = open_storage(None, self.folder / out)
        return optuna.load_study(storage=storage, study_name=study or out).get_trials(deepcopy=False)

    def told(self, wanted: int) -> None:
        """Waits until so many epochs have been told."""

        def enough() -> bool:
            assert self.started[-1].poll() is None, "the search ended before"
            if not (self.out / "owner").exists():  # the study is whole before
                return False
            return sum(len(trial.intermediate_values) for trial in self.trials()) >= wanted

        wait_until(enough, f"{wanted} epochs told")


def ended(process: subprocess.Popen[str], status: int = 0) -> str:
    """What a command printed, once it has ended as it should."""
    text = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == status, text
    return text


def wait_until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited in vain: {what}")
        time.sleep(0.2)


def processes_of(folder: Path) -> list[str]:
    """Command lines of what still works for a search in `folder`."""
    running = [p.info for p in psutil.process_iter(["cwd", "cmdline"]) if p.info["cwd"]]
    return [" ".join(p["cmdline"] or []) for p in running if Path(p["cwd"]).is_relative_to(folder)]


def descendants(pid: int, name: str = "") -> list[psutil.Process]:
    """Processes below `pid` whose title begins with `name`; Ray calls a worker after what it is doing."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if " ".join(process.cmdline()).startswith(name):
                found.append(process)
        except psutil.NoSuchProcess:  # it ended meanwhile
            continue
    return found

"""`python tune/search.py` as a process, on a real Ray."""

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
TRIAL = "ray::ResourceTrainable"  # process title of a trial's worker
TIMEOUT_S = 280.0  # about 20 s are needed on an idle machine


class SearchFolder:
    """Working folder of the command, with two toy datasets, a config and a space."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        self.started: list[subprocess.Popen[str]] = []
        self.ray: dict[str, str] = {}  # environment variables with the address of a Ray cluster; empty: an embedded Ray
        self.configure(micro(make_toy(folder / "source"), make_toy(folder / "target", shade=120)))
        (folder / "space.yaml").write_text(SPACE)

    def configure(self, config: Config) -> None:
        self.config = config
        (self.folder / "config.yaml").write_text(to_yaml(config))

    def start(self, *arguments: str, out: str = "out") -> subprocess.Popen[str]:
        inputs = ["--config", "config.yaml", "--space", "space.yaml", "--cache", "cache", "--out", out]
        if "--confirm-seeds" not in arguments:
            arguments = (*arguments, "--confirm-seeds", "0")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | self.ray
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(ROOT / "tune" / "search.py"), *inputs, "--epochs", str(EPOCHS), *arguments]
        process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str, status: int = 0, out: str = "out") -> str:
        return output_of(self.start(*arguments, out=out), status)

    def trials(self, out: str = "out", study: str | None = None) -> list[FrozenTrial]:
        storage = open_storage(None, self.folder / out)
        return optuna.load_study(storage=storage, study_name=study or out).get_trials(deepcopy=False)

    def wait_for_epochs(self, count: int) -> None:
        """Waits until the study has `count` epochs."""

        def reported() -> bool:
            assert self.started[-1].poll() is None, "the search has ended"
            if not (self.out / "study.journal").exists():
                return False
            if self.out.name not in optuna.get_all_study_names(open_storage(None, self.out)):
                return False  # the search has opened the journal, and not yet created its study
            return sum(len(trial.intermediate_values) for trial in self.trials()) >= count

        wait_until(reported, f"{count} epochs")


def output_of(process: subprocess.Popen[str], status: int = 0) -> str:
    """Output of a command; fails unless it ends with `status`."""
    text = process.communicate(timeout=TIMEOUT_S)[0]
    assert process.returncode == status, text
    return text


def wait_until(condition: Callable[[], object], description: str) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"timeout while waiting for {description}")
        time.sleep(0.2)


def processes_of(folder: Path) -> list[str]:
    """Command lines of the processes whose working folder is in `folder`."""
    running = [p.info for p in psutil.process_iter(["cwd", "cmdline"]) if p.info["cwd"]]
    return [" ".join(p["cmdline"] or []) for p in running if Path(p["cwd"]).is_relative_to(folder)]


def descendants(pid: int, name: str = "") -> list[psutil.Process]:
    """Descendants of a process whose title begins with `name`; Ray sets a worker's title to its task or actor."""
    processes = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if " ".join(process.cmdline()).startswith(name):
                processes.append(process)
        except psutil.NoSuchProcess:  # it has ended
            continue
    return processes

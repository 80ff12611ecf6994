"""Checks of two searches in two processes on one study."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.trial import TrialState

from gckd.tune.storage import open_storage
from gckd.tune.study import OWNER, counts
from tests.tune.worker import EPOCHS

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_WORKER = Path(__file__).with_name("worker.py")


def start(uri: str, name: str, owner: str, budget: int, *die_after: int) -> subprocess.Popen[str]:
    words = [sys.executable, str(_WORKER), uri, name, owner, *map(str, (budget, *die_after))]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def go(*searches: subprocess.Popen[str]) -> None:
    """Starts the trials of searches together, after all have opened their study."""
    for search in searches:
        assert search.stdout is not None and search.stdout.readline() == "ready\n"
    for search in searches:
        assert search.stdin is not None
        search.stdin.write("\n")
        search.stdin.flush()


def finished(search: subprocess.Popen[str]) -> list[int]:
    """Numbers of the trials that a search finished."""
    return [int(line) for line in search.communicate(timeout=120)[0].split()]


def trials(uri: str, name: str) -> list[FrozenTrial]:
    return optuna.load_study(storage=open_storage(uri, Path()), study_name=name).trials


def check_two_at_once(uri: str, name: str) -> None:
    """The budget is met exactly, each trial is finished by its owner, and the starting point is queued once."""
    one, two = start(uri, name, "one", 24), start(uri, name, "two", 24)
    go(one, two)
    numbers = {"one": finished(one), "two": finished(two)}
    assert (one.returncode, two.returncode) == (0, 0)
    all_trials = trials(uri, name)
    by_owner = {o: [t.number for t in all_trials if t.user_attrs[OWNER] == o and counts(t)] for o in numbers}
    assert {o: sorted(n) for o, n in numbers.items()} == by_owner
    assert [t.number for t in all_trials] == list(range(len(all_trials)))
    assert sum(map(counts, all_trials)) == 24
    assert [t.number for t in all_trials if "fixed_params" in t.system_attrs] == [0]
    for trial in filter(counts, all_trials):
        assert trial.state == TrialState.COMPLETE
        assert set(trial.intermediate_values) == set(range(1, EPOCHS + 1))
        assert trial.value == max(trial.intermediate_values.values()) == trial.intermediate_values[2]


def check_kill_of_one(uri: str, name: str) -> None:
    """A killed search resumes its running trials, which the other search does not touch."""
    victim, other = start(uri, name, "victim", 20, 1), start(uri, name, "other", 20)
    go(victim)  # alone: SQLite's lock is not fair, so the other search could finish before the second trial
    before = finished(victim)
    go(other)
    finished(other)
    assert (victim.returncode, other.returncode) == (-signal.SIGKILL, 0)
    left = {t.number: t.params for t in trials(uri, name) if t.state == TrialState.RUNNING}
    assert left  # it ran two at a time
    assert {t.user_attrs[OWNER] for t in trials(uri, name) if t.state == TrialState.RUNNING} == {"victim"}
    again = start(uri, name, "victim", 20)
    go(again)
    assert sorted(finished(again)) == sorted(left)
    all_trials = trials(uri, name)
    assert {number: all_trials[number].params for number in left} == left
    assert {t.state for t in all_trials if counts(t)} == {TrialState.COMPLETE}
    assert sum(map(counts, all_trials)) == 20
    assert not set(before) & set(left)

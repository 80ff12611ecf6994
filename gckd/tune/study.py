"""Optuna study of a search: its attributes, and the check that a study belongs to this search."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.study import StudyDirection
from optuna.trial import TrialState

from gckd.config import ConfigError
from gckd.config.serialization import differences
from gckd.errors import InputError, reason_of

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from gckd.tune.space.range_type import Sampled

# user_attrs of a trial
EDITS, EPOCH, FOLDER, OWNER, REASON, SEEDS = "edits", "epoch", "folder", "owner", "reason", "seeds"
SECONDS, MEMORY = "seconds", "memory_gib"
THREADS = "threads"  # of each worker
# Number of the COMPLETE trial with the same edits, whose values this one has without a run. Stored studies use "twin".
DUPLICATE_OF = "twin"
REFUSED = "refused"  # true: drawn, but never run
# user_attr of a study: workers of a trial, threads and GPUs of a worker, in the last command
RESOURCES = "resources"

_READY = "ready"  # user_attr of a study: all others are set, and its starting points are queued
_MAY_DIFFER = ("revision",)  # between two processes on one study
_WAIT_S = 10.0


def open_study(
    storage: BaseStorage,
    name: str,
    sampler: BaseSampler,
    directions: Sequence[str],
    attrs: Mapping[str, Any],
    points: Iterable[Mapping[str, Sampled]] = (),
) -> Study:
    """The study `name` of a storage. A new study gets `attrs`, and `points` are queued in it.

    If several processes open a new study at once, one prepares it and the others wait.

    Args:
        directions: "maximize" or "minimize", one for each objective.
        attrs: description of the search: base, space, select, ...; plain values.
        points: params to try first. They are queued only when the study is created.

    Raises:
        InputError: the study belongs to another search: its directions or attrs differ (the message lists the
            fields; `revision` may differ).
    """
    try:
        return _opened(storage, name, sampler, directions, attrs, points)
    except InputError:
        raise
    except (ValueError, LookupError, TypeError, AssertionError, RecursionError) as error:  # damaged, or foreign
        raise InputError(f"--storage: study {name!r} cannot be read ({reason_of(error)})") from error


def _opened(
    storage: BaseStorage,
    name: str,
    sampler: BaseSampler,
    directions: Sequence[str],
    attrs: Mapping[str, Any],
    points: Iterable[Mapping[str, Sampled]],
) -> Study:
    """As `open_study`, with the errors of Optuna for a storage whose content is damaged."""
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            sampler=sampler,
            directions=[StudyDirection[direction.upper()] for direction in directions],
            pruner=optuna.pruners.NopPruner(),
        )
        claim(study, attrs, points, wait_s=0.0)
    except DuplicatedStudyError:
        study = optuna.load_study(storage=storage, study_name=name, sampler=sampler, pruner=optuna.pruners.NopPruner())
        stored = [direction.name.lower() for direction in study.directions]
        if stored != list(directions):
            reason = f"its directions are {', '.join(stored)}; this search has {', '.join(directions)}"
            raise InputError(f"--study: {name!r} belongs to another search: {reason}") from None
        claim(study, attrs, points)
    return study


def claim(
    study: Study, attrs: Mapping[str, Any], points: Iterable[Mapping[str, Sampled]] = (), wait_s: float = _WAIT_S
) -> None:
    """Sets `attrs` and queues `points` in a new study; checks that an older study is for the same search.

    Args:
        wait_s: how long to wait for the process that created the study, in seconds; if that process died before it
            had finished, this one finishes.

    Raises:
        InputError: see `open_study`.
    """
    attrs = json.loads(json.dumps(attrs))  # as the storage returns them
    end = time.monotonic() + wait_s
    while not (stored := study.user_attrs).get(_READY) and time.monotonic() < end:
        time.sleep(0.05)
    if not stored.get(_READY):
        for key, value in attrs.items():
            if key not in stored:
                study.set_user_attr(key, value)
        _name_objectives(study, attrs)
        for point in points:
            study.enqueue_trial(dict(point), skip_if_exists=True)
        study.set_user_attr(_READY, True)
        stored = study.user_attrs
    compared = {key: value for key, value in attrs.items() if key not in _MAY_DIFFER}
    lines = differences({key: stored.get(key) for key in compared}, compared)
    if lines:
        head = (
            f"--study: {study.study_name!r} belongs to another search; choose another --study, or undo these changes:"
        )
        raise ConfigError([head, *(f"  {line}" for line in lines)])


def _name_objectives(study: Study, attrs: Mapping[str, Any]) -> None:
    """Names the objectives for optuna-dashboard; the score by the name of --select."""
    names = [f"score: {attrs.get('select')}" if name == "score" else name for name in attrs.get("objectives", ())]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if len(names) == len(study.directions):
            study.set_metric_names(names)


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts towards the number of trials: it ran, with any result, or an owner is running it."""
    if trial.state == TrialState.RUNNING:
        return OWNER in trial.user_attrs
    return trial.state.is_finished() and DUPLICATE_OF not in trial.user_attrs and not trial.user_attrs.get(REFUSED)

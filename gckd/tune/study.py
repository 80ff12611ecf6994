"""The Optuna study of a search: its sampler, and who may go on with it."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState

from gckd.config import ConfigError
from gckd.config.serialization import differences
from gckd.errors import InputError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from gckd.tune.space.range_type import Sampled

# user_attrs of a trial
EDITS, EPOCH, FOLDER, OWNER, REASON, SEEDS = "edits", "epoch", "folder", "owner", "reason", "seeds"
SECONDS, MEMORY = "seconds", "memory_gib"
TWIN = "twin"  # number of the COMPLETE trial with the same edits, whose values it was told without running
REFUSED = "refused"  # true: a draw that was never run

_READY = "ready"  # user_attr of a study: all others stand, and its starting points are queued
_MAY_DIFFER = ("revision",)  # between two processes of one study
_WAIT_S = 10.0
_POPULATION = 16  # of NSGA-II: at Optuna's 50 a search of tens of trials would be its random first generation


class PerTrial(BaseSampler):
    """A sampler whose random numbers depend on the seed and the trial's number alone, with what the study holds.

    A seeded sampler of Optuna starts its random numbers over in each process: a search that is resumed, or a second
    one on the same study, would draw the same random configurations again.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make = make
        self._seed = seed
        self._at: tuple[int, BaseSampler] | None = None

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        if self._at is None or self._at[0] != trial.number:
            seed = int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self._at = trial.number, self._make(seed)
        return self._at[1]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._of(trial).before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._of(trial).after_trial(study, trial, state, values)


def _tpe(seed: int) -> BaseSampler:
    return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def _gp(seed: int) -> BaseSampler:
    return GPSampler(seed=seed, warn_independent_sampling=False)


def _random(seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)


def _nsga2(seed: int) -> BaseSampler:
    return NSGAIISampler(seed=seed, population_size=_POPULATION)


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {"tpe": _tpe, "gp": _gp, "random": _random, "nsga2": _nsga2}


def make_sampler(name: str, seed: int, objectives: int = 1) -> BaseSampler:
    """The sampler called `name`; it can be pickled.

    Paths that apply only under a condition are sampled independently of the others by gp and nsga2.

    Args:
        seed: >= 0.
        objectives: how many the study has.

    Raises:
        InputError: there is none of that name, or it is not for so few objectives.
    """
    if name not in SAMPLERS:
        raise InputError(f"--sampler: {name!r} is not one of {', '.join(SAMPLERS)}")
    if name == "nsga2" and objectives < 2:
        raise InputError("--sampler: nsga2 is for several objectives, and there is one; take tpe, gp or random")
    return PerTrial(SAMPLERS[name], seed)


def open_study(
    storage: BaseStorage,
    name: str,
    sampler: BaseSampler,
    directions: Sequence[str],
    attrs: Mapping[str, Any],
    points: Iterable[Mapping[str, Sampled]] = (),
) -> Study:
    """The study `name` of a storage, made if it is not there: then `attrs` are noted in it and `points` are queued.

    Of several processes that open it at once, one does so and the others wait for it.

    Args:
        directions: "maximize" or "minimize", one for each objective.
        attrs: what the search is: base, space, select, ...; plain values.
        points: params to try first. They are queued when the study is made and never again.

    Raises:
        InputError: it was made for another search: other directions, or other attrs (the differing fields are listed;
            `revision` may differ).
    """
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
        held = [direction.name.lower() for direction in study.directions]
        if held != list(directions):
            text = f"its directions are {', '.join(held)}, and this search has {', '.join(directions)}"
            raise InputError(f"--study: {name!r} was made for another search: {text}") from None
        claim(study, attrs, points)
    return study


def claim(
    study: Study, attrs: Mapping[str, Any], points: Iterable[Mapping[str, Sampled]] = (), wait_s: float = _WAIT_S
) -> None:
    """Notes `attrs` in a study that has none, and queues `points`; otherwise checks that it is for the same search.

    Args:
        wait_s: how long to wait for the process that made the study, in seconds; if it died before it was done, this
            one does it.

    Raises:
        InputError: as `open_study`.
    """
    attrs = json.loads(json.dumps(attrs))  # as the storage gives them back
    end = time.monotonic() + wait_s
    while not (held := study.user_attrs).get(_READY) and time.monotonic() < end:
        time.sleep(0.05)
    if not held.get(_READY):
        for key, value in attrs.items():
            if key not in held:
                study.set_user_attr(key, value)
        for point in points:
            study.enqueue_trial(dict(point), skip_if_exists=True)
        study.set_user_attr(_READY, True)
        held = study.user_attrs
    compared = {key: value for key, value in attrs.items() if key not in _MAY_DIFFER}
    lines = differences({key: held.get(key) for key in compared}, compared)
    if lines:
        head = f"--study: {study.study_name!r} was made for another search; choose another --study, or take its own:"
        raise ConfigError([head, *(f"  {line}" for line in lines)])


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts towards the number wanted: what ran, however it ended, and what an owner is running."""
    if trial.state == TrialState.RUNNING:
        return OWNER in trial.user_attrs
    return trial.state.is_finished() and TWIN not in trial.user_attrs and not trial.user_attrs.get(REFUSED)

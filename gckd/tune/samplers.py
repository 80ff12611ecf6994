"""Samplers of a search by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from gckd.errors import InputError, unknown_choice

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, TrialState

_POPULATION = 16  # of NSGA-II: with Optuna's 50, a search of tens of trials would be its random first generation


class PerTrialSampler(BaseSampler):
    """Sampler whose random numbers depend only on the seed, the trial's number and the study.

    A seeded sampler of Optuna restarts its random numbers in each process: a search that is resumed, or a second
    search on the same study, would draw the same random configurations again.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make = make
        self._seed = seed
        self._current: tuple[int, BaseSampler] | None = None  # trial number and its sampler

    def _sampler(self, trial: FrozenTrial) -> BaseSampler:
        if self._current is None or self._current[0] != trial.number:
            seed = int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self._current = trial.number, self._make(seed)
        return self._current[1]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler(trial).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._sampler(trial).before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._sampler(trial).after_trial(study, trial, state, values)


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

    gp and nsga2 sample conditional paths independently of the others.

    Args:
        seed: >= 0.
        objectives: number of objectives of the study.

    Raises:
        InputError: the name is unknown, or the sampler needs several objectives.
    """
    if name not in SAMPLERS:
        raise InputError(f"--sampler: {unknown_choice('sampler', name, SAMPLERS)}")
    if name == "nsga2" and objectives < 2:
        raise InputError("--sampler: nsga2 needs several objectives; choose from tpe, gp, random, or add --objective")
    return PerTrialSampler(SAMPLERS[name], seed)

"""True metrics of search trials, by target labels. Used after the search, never during it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gckd.cluster.trial import BEST, Search
from gckd.config.edit import configure
from gckd.errors import InputError
from gckd.storage.path import StoragePath
from gckd.validators.reliability import HALVES

if TYPE_CHECKING:
    from gckd.evaluation.retrieval import Ranking


def true_metrics(search: Search, trial: Mapping[str, Any], split: str) -> dict[str, float]:
    """Metrics of the selected epoch of a trial on a labelled target split: percent, means over seeds.

    The names of `HALVES` are among them if the split has several identities.

    Raises:
        InputError: the checkpoint of the epoch is missing.
    """
    import torch

    from gckd.data.dataset_pair import shared_datasets
    from gckd.training.target_evaluation import evaluate_checkpoint

    torch.set_num_threads(search.threads)
    config, of_seeds = configure(search.base, trial["edits"]), []
    for seed in trial["seeds"]:
        seeded = dataclasses.replace(config, seed=seed)
        datasets = shared_datasets(seeded, search.cache)
        result = evaluate_checkpoint(seeded, _checkpoint(trial, seed), search.cache, split, datasets)
        of_seeds.append(result.metrics | _halves(result.ranking))
    return {name: math.fsum(metrics[name] for metrics in of_seeds) / len(of_seeds) for name in of_seeds[0]}


def _halves(ranking: Ranking) -> dict[str, float]:
    """The metrics of `HALVES` in percent, on every second identity and on the others."""
    identities, number = ranking.identity.unique(return_inverse=True)
    if len(identities) < 2:
        return {}
    of_queries = {"rank_1": (ranking.rank == 1).double(), "map": ranking.ap}
    return {
        half_name: 100.0 * float(of_queries[name][number % 2 == half].mean())
        for name, half_names in HALVES.items()
        for half, half_name in enumerate(half_names)
    }


def reachable(trial: Mapping[str, Any]) -> bool:
    """Whether this machine can read the checkpoints of a trial."""
    try:
        return all(_checkpoint(trial, seed).exists() for seed in trial["seeds"])
    except InputError:  # no permission, or a store that does not answer
        return False


def _checkpoint(trial: Mapping[str, Any], seed: int) -> StoragePath:
    return StoragePath.at(trial["folder"]) / f"seed-{seed}" / BEST

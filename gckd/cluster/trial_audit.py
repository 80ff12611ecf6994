"""True metrics of search trials, by target labels: after the search, never during it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from gckd.cluster.trial import BEST, Search
from gckd.config.edit import configure
from gckd.storage.path import StoragePath


def true_metrics(search: Search, given: Mapping[str, Any], split: str) -> dict[str, float]:
    """Metrics (percent, means over seeds) of the selected epoch of the trial `given` on a labelled target split.

    Raises:
        InputError: its checkpoint is gone.
    """
    import torch

    from gckd.data.domains import shared_datasets
    from gckd.training.target_evaluation import evaluate_checkpoint

    torch.set_num_threads(search.threads)
    config, found = configure(search.base, given["edits"]), []
    for seed in given["seeds"]:
        own = dataclasses.replace(config, seed=seed)
        datasets = shared_datasets(own, search.cache)
        found.append(evaluate_checkpoint(own, _checkpoint(given, seed), search.cache, split, datasets).metrics)
    return {name: math.fsum(metrics[name] for metrics in found) / len(found) for name in found[0]}


def reachable(given: Mapping[str, Any]) -> bool:
    """Whether the checkpoints of the trial `given` are seen from here."""
    return all(_checkpoint(given, seed).exists() for seed in given["seeds"])


def _checkpoint(given: Mapping[str, Any], seed: int) -> StoragePath:
    return StoragePath.at(given["folder"]) / f"seed-{seed}" / BEST

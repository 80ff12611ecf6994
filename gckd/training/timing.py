"""Duration of a training step on this machine, for the estimate before a search."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gckd.config.schema import Config
from gckd.data.dataset_pair import DatasetPair
from gckd.device import on_config_device
from gckd.method.build import build_parts, build_step
from gckd.method.warm_start import WarmStart
from gckd.models.build import build_model
from gckd.storage.cache import CachePath
from gckd.training.pretrain import build_objective, is_pretrained

STEPS = 8  # timed steps, after one to warm up: one period of matching and MLM with the default fusion_every


class StepSeconds(NamedTuple):
    """Seconds of one step in each stage, and whether the source model is cached. origin: of the figures, in words."""

    pretrain: float
    adapt: float
    pretrained: bool
    origin: str = "measured here"


@on_config_device
def step_seconds(config: Config, datasets: DatasetPair, cache: Path | CachePath, threads: int) -> StepSeconds:
    """Time a few steps from random weights.

    Args:
        threads: CPU threads of a run.

    Raises:
        InputError: see `gckd.training.run.train_run`.
    """
    torch.set_num_threads(threads)
    model = build_model(config, datasets.tokenizer.vocabulary)
    feed = datasets.feed(config, config.pretrain.batch, config.pretrain.per_identity)
    objective = build_objective(config, feed, model, model)
    parts = build_parts(config, datasets.feed(config, config.adapt.batch), model)
    step = build_step(parts)
    step.warm_start(WarmStart())
    return StepSeconds(_mean(objective.terms), _mean(step.terms), is_pretrained(config, datasets, cache))


def _mean(terms: Callable[[int], dict[str, Tensor]]) -> float:
    seconds = []
    for batch in range(STEPS + 1):
        start = time.perf_counter()
        torch.stack(list(terms(batch).values())).sum().backward()
        seconds.append(time.perf_counter() - start)
    return statistics.fmean(seconds[1:])

"""A search trial: the one train function, an epoch at a time. Here, in the package, because workers unpickle it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gckd.config import Config, config_text
from gckd.config.config_file import CONFIG_FILE
from gckd.config.edit import configure
from gckd.runs.throttle import Throttle
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath

if TYPE_CHECKING:
    from gckd.progress import ProgressCallback
    from gckd.training.search_trial import SourceModelScores, TrialEvaluation

Scores = dict[str, float]

ORACLE = "oracle"  # selects by target labels
SOURCE_MODEL = "source model"  # what a display calls its training
BEST = "best.pt"  # the checkpoint of the selected epoch
_ORACLE_FILE = "oracle.json"


@dataclass(frozen=True)
class Search:
    """What all trials of a search have in common.

    select: the score that selects an epoch and that the sampler is told. start: scores of the source model, by seed.
    """

    base: Config
    cache: Path | CachePath
    select: str
    threads: int
    start: Mapping[int, Mapping[str, float]]
    board: Any = None  # actor handle of a Board; None shows nothing

    def tell(self, name: str, seed: int) -> ProgressCallback:
        """Progress of one run, to the board; of several workers the first one tells."""
        from gckd.distributed import rank

        if self.board is None or rank():
            return lambda progress: None
        return Throttle(lambda progress: self.board.report.remote((name, seed), progress))


def results(search: Search, given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Trains the trial `given` (edits, folder, seeds), its seeds side by side; a result after each epoch.

    A result has `epoch` (from 1), `score` (higher is better) and `scores`, both means over seeds, `seconds` (their
    sum), `memory_gib`, and `done_all`, true at the last epoch. A trial that was interrupted goes on from its
    checkpoints, and tells its earlier epochs again.

    Raises:
        InputError, FloatingPointError: see `gckd.training.search_trial.trial_evaluations`.
    """
    import torch

    from gckd.device import on_device
    from gckd.distributed import rank
    from gckd.training.load import CHECKPOINT
    from gckd.training.search_trial import trial_evaluations

    torch.set_num_threads(search.threads)
    config, folder = configure(search.base, given["edits"]), StoragePath.at(given["folder"])
    if not rank():
        with (folder / CONFIG_FILE).writing() as file:
            file.write_text(config_text(config), encoding="utf-8")
    seeds = {seed: folder / f"seed-{seed}" for seed in given["seeds"]}
    best = -math.inf
    with on_device(config.device):
        runs = [
            trial_evaluations(
                _seeded(config, seed),
                cache=search.cache,
                out=out,
                report=search.tell(f"trial {given['number']}", seed),
            )
            for seed, out in seeds.items()
        ]
        for number, found in enumerate(zip(*runs, strict=True), 1):
            values = [_value(search, config, seeds, seed, number, e) for seed, e in zip(seeds, found, strict=True)]
            score = _mean(values)
            if score > best and not rank() and all(epoch.has_checkpoint for epoch in found):
                for out in seeds.values():
                    (out / CHECKPOINT).copy_to(out / BEST)  # of the epoch that is selected so far
            best = max(best, score)
            yield {
                "epoch": number,
                "score": score,
                "scores": {name: _mean([epoch.values[name] for epoch in found]) for name in score_names()},
                "seconds": math.fsum(epoch.values["seconds"] for epoch in found),
                "memory_gib": memory_gib(),
                "done_all": number == config.adapt.evaluations,
            }


def results_or_reason(search: Search, given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """`results`; a trial whose config cannot be trained ends with a `reason`, for Tune would only try it again."""
    from gckd.errors import InputError

    try:
        yield from results(search, given)
    except (FloatingPointError, InputError) as error:
        yield {"reason": f"{type(error).__name__}: {' '.join(str(error).split())}", "done_all": False}


def source_model(search: Search, seed: int) -> SourceModelScores:
    """What the trials of a seed start from; trained now unless the cache has it."""
    import torch

    from gckd.device import on_device
    from gckd.training.search_trial import score_source_model

    torch.set_num_threads(search.threads)
    with on_device(search.base.device):
        tell = search.tell(SOURCE_MODEL, seed)
        return score_source_model(_seeded(search.base, seed), cache=search.cache, report=tell)


def score_names() -> tuple[str, ...]:
    from gckd.validators import SCORES

    return tuple(SCORES)


def memory_gib() -> float:
    """Memory of this process now, resident; on a GPU the most that was allocated there."""
    import psutil
    import torch

    held = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else psutil.Process().memory_info().rss
    return held / 2**30


def _seeded(config: Config, seed: int) -> Config:
    return dataclasses.replace(config, seed=seed)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _value(
    search: Search, config: Config, seeds: Mapping[int, StoragePath], seed: int, number: int, epoch: TrialEvaluation
) -> float:
    if search.select == ORACLE:
        return _oracle(search, _seeded(config, seed), seeds[seed], number, epoch)
    from gckd.validators import epoch_score

    return epoch_score(epoch.values, search.start[seed], search.select)


def _oracle(search: Search, config: Config, out: StoragePath, number: int, epoch: TrialEvaluation) -> float:
    """Rank-1 on target val, by its labels. Kept in a file, because the checkpoints of earlier epochs are gone."""
    from gckd.data.dataset_pair import shared_datasets
    from gckd.distributed import barrier, rank
    from gckd.training.load import CHECKPOINT
    from gckd.training.target_evaluation import evaluate_checkpoint

    file = out / _ORACLE_FILE
    known = {}
    if file.exists():
        with file.reading() as there:
            known = json.loads(there.read_text(encoding="utf-8"))
    if epoch.has_checkpoint:
        barrier()  # for the worker that writes the checkpoint
        datasets = shared_datasets(config, search.cache)
        metrics = evaluate_checkpoint(config, out / CHECKPOINT, search.cache, "val", datasets).metrics
        known[str(number)] = metrics["rank_1"]
        if not rank():
            with file.writing() as here:
                here.write_text(json.dumps(known), encoding="utf-8")
    found: float = known[str(number)]
    return found

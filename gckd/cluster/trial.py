"""Search trial: the adaptation of one config, epoch by epoch, with a score after each."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gckd.cluster.shared_board import BoardReport
from gckd.config import Config, config_text
from gckd.config.config_file import CONFIG_FILE
from gckd.config.edit import configure
from gckd.plugins import check_plugins
from gckd.runs.lost_input import lost_input
from gckd.runs.throttle import Throttle
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath

if TYPE_CHECKING:
    from gckd.progress import ProgressCallback
    from gckd.training.search_trial import SourceModelScores, TrialEvaluation

Scores = dict[str, float]

ORACLE = "oracle"  # selection by target labels
SOURCE_MODEL = "pre-training"  # name of its training in the display
BEST = "best.pt"  # checkpoint of the selected epoch
_ORACLE_FILE = "oracle.json"


@dataclass(frozen=True)
class Search:
    """Settings that all trials of a search share.

    select: name of the score that selects an epoch and that the sampler maximises. threads: CPU threads of each worker.
    start: scores of the source model, by seed.
    """

    base: Config
    cache: Path | CachePath
    select: str
    threads: int
    start: Mapping[int, Mapping[str, float]]
    board: Any = None  # actor handle of a Board; None: no display

    def progress_callback(self, name: str, seed: int) -> ProgressCallback:
        """Callback that sends the progress of a run to the board. Of several workers, only the first one sends."""
        from gckd.distributed import rank

        if self.board is None or rank():
            return lambda progress: None
        return Throttle(BoardReport(self.board, (name, seed)))


def trial_line(number: int, seed: int) -> tuple[str, int]:
    """Line of a trial's run on the board."""
    return (f"trial {number}", seed)


def results(search: Search, trial: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Train a trial, all its seeds in step, and yield a result after each epoch.

    A result has `epoch` (from 1), `score` (higher is better) and `scores`, both means over seeds, `seconds` (their
    sum), `memory_gib`, and `done_all`, true after the last epoch. An interrupted trial resumes from its checkpoints,
    and yields its earlier epochs again.

    Args:
        trial: `edits` of the base config, `number`, `folder` and `seeds`.

    Raises:
        InputError, FloatingPointError: see `gckd.training.search_trial.trial_evaluations`.
    """
    import torch

    from gckd.device import on_device
    from gckd.distributed import barrier, rank
    from gckd.training.load import CHECKPOINT
    from gckd.training.search_trial import trial_evaluations

    check_plugins()
    torch.set_num_threads(search.threads)
    config, folder = configure(search.base, trial["edits"]), StoragePath.at(trial["folder"])
    seeds = {seed: folder / f"seed-{seed}" for seed in trial["seeds"]}
    if not rank():
        _write_configs(config, seeds)
    barrier()
    best = -math.inf
    with on_device(config.device):
        runs = [
            trial_evaluations(
                _seeded(config, seed),
                cache=search.cache,
                out=out,
                report=search.progress_callback(*trial_line(trial["number"], seed)),
            )
            for seed, out in seeds.items()
        ]
        for number, evaluations in enumerate(zip(*runs, strict=True), 1):
            pairs = zip(seeds, evaluations, strict=True)
            values = [_value(search, config, seeds, seed, number, evaluation) for seed, evaluation in pairs]
            score = _mean(values)
            if score > best and not rank() and all(evaluation.has_checkpoint for evaluation in evaluations):
                for out in seeds.values():
                    (out / CHECKPOINT).copy_to(out / BEST)  # of the best epoch so far
            best = max(best, score)
            yield _result(number, score, evaluations) | {"done_all": number == config.adapt.evaluations}


def _write_configs(config: Config, seeds: Mapping[int, StoragePath]) -> None:
    """Write the config of each run beside its checkpoints, where the commands that take a checkpoint look for it.

    Checkpoints of another config are removed: if a study in an object store lost its last trials with its machine,
    their numbers are drawn again.
    """
    from gckd.training.load import CHECKPOINT

    for seed, folder in seeds.items():
        text, config_file = config_text(_seeded(config, seed)), folder / CONFIG_FILE
        if config_file.exists():
            with config_file.reading() as file:
                is_other = file.read_bytes() != text.encode()
            for name in (CHECKPOINT, BEST, _ORACLE_FILE) if is_other else ():
                (folder / name).remove()
        with config_file.writing() as file:
            file.write_text(text, encoding="utf-8")


def _result(number: int, score: float, evaluations: Sequence[TrialEvaluation]) -> dict[str, Any]:
    """Result of an epoch, from the evaluations of its seeds."""
    return {
        "epoch": number,
        "score": score,
        "scores": {name: _mean([e.values[name] for e in evaluations]) for name in score_names()},
        "seconds": math.fsum(e.values["seconds"] for e in evaluations),
        "memory_gib": memory_gib(),
    }


def results_or_reason(search: Search, trial: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """`results`, with a last result that has a `reason` if the config cannot be trained; Tune would repeat an error."""
    from gckd.errors import InputError

    try:
        yield from results(search, trial)
    except KeyboardInterrupt:  # the checkpoints are saved
        if search.board is not None:
            for seed in trial["seeds"]:
                search.board.end.remote(trial_line(trial["number"], seed), message="interrupted")
        raise
    except (FloatingPointError, InputError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        yield {"reason": reason, "lost_input": lost_input(search.base), "done_all": False}


def source_model(search: Search, seed: int) -> SourceModelScores:
    """Scores of the source model that the trials of a seed start from. It is trained unless the cache has it."""
    import torch

    from gckd.device import on_device
    from gckd.training.search_trial import score_source_model

    torch.set_num_threads(search.threads)
    with on_device(search.base.device):
        report = search.progress_callback(SOURCE_MODEL, seed)
        return score_source_model(_seeded(search.base, seed), cache=search.cache, report=report)


def score_names() -> tuple[str, ...]:
    """Names of all label-free scores."""
    from gckd.validators import SCORES

    return tuple(SCORES)


def memory_gib() -> float:
    """Resident memory of this process, or with a GPU the largest allocation on it."""
    import psutil
    import torch

    allocated = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else psutil.Process().memory_info().rss
    return allocated / 2**30


def _seeded(config: Config, seed: int) -> Config:
    return dataclasses.replace(config, seed=seed)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _value(
    search: Search,
    config: Config,
    seeds: Mapping[int, StoragePath],
    seed: int,
    number: int,
    evaluation: TrialEvaluation,
) -> float:
    if search.select == ORACLE:
        return _oracle(search, _seeded(config, seed), seeds[seed], number, evaluation)
    from gckd.validators import epoch_score

    return epoch_score(evaluation.values, search.start[seed], search.select)


def _oracle(search: Search, config: Config, out: StoragePath, number: int, evaluation: TrialEvaluation) -> float:
    """Rank-1 on target val, by its labels. A file keeps it, because checkpoints of earlier epochs are overwritten."""
    from gckd.data.dataset_pair import shared_datasets
    from gckd.distributed import barrier, rank
    from gckd.training.load import CHECKPOINT
    from gckd.training.target_evaluation import evaluate_checkpoint

    file = out / _ORACLE_FILE
    rank_1 = {}  # epoch -> percent
    if file.exists():
        with file.reading() as path:
            rank_1 = json.loads(path.read_text(encoding="utf-8"))
    if evaluation.has_checkpoint:
        barrier()  # until the first worker has written the checkpoint
        datasets = shared_datasets(config, search.cache)
        metrics = evaluate_checkpoint(config, out / CHECKPOINT, search.cache, "val", datasets).metrics
        rank_1[str(number)] = metrics["rank_1"]
        if not rank():
            with file.writing() as path:
                path.write_text(json.dumps(rank_1), encoding="utf-8")
    value: float = rank_1[str(number)]
    return value

"""Stand-ins for `prepare_run` and `train_run` of `gckd.training.run`, and for `train_and_score`, for Ray workers.

A step takes no time, or FAKE_SECONDS seconds (FAKE_ABLATED_SECONDS without the graph).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

from gckd.config import Config, digest
from gckd.config.distill import NoTeacher
from gckd.config.graph import NoPropagation
from gckd.errors import DivergenceError
from gckd.evaluation.retrieval import Ranking
from gckd.progress import Progress
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath
from gckd.training.run import RunResult
from gckd.training.scored_run import ScoredRun
from gckd.validators import SCORES

Report = Callable[[Progress], None]

FAIL_SEED = 101  # `run` raises for it
PREPARE_FAIL_SEED = 102  # `prepare` raises for it
QUERIES = 1000
DEATH_SEED = 103  # `run` kills its worker process


def _log(text: str) -> None:
    """Append `prepare|run start|end seed [row] pid time` to FAKE_LOG, if a test sets it."""
    if "FAKE_LOG" in os.environ:
        with Path(os.environ["FAKE_LOG"]).open("a") as file:
            file.write(f"{text} {os.getpid()} {time.time():.3f}\n")


def prepare(config: Config, *, cache: Path | CachePath, report: Report) -> None:
    assert CachePath.at(cache).local_path.is_dir()
    _log(f"prepare start {config.seed}")
    if config.seed == PREPARE_FAIL_SEED:
        raise RuntimeError("no source model")
    report(Progress("pretrain", 1, 1, {"loss": 2.0}, None))
    time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
    _log(f"prepare end {config.seed}")


def expected_rank_1(config: Config) -> float:
    """Rank-1 of `run`: 70 for the full row, 2 less without graph, 5 less without teacher, 0.5 more per seed.

    60 for the source model, and 80 with target labels.
    """
    without_graph = isinstance(config.graph.propagate, NoPropagation)
    without_teacher = isinstance(config.distill.teacher, NoTeacher)
    trained = 80.0 if config.adapt.labels == "target" else 70.0 - 2.0 * without_graph - 5.0 * without_teacher
    return (trained if config.adapt.steps else 60.0) + 0.5 * config.seed


def run(
    config: Config, *, cache: Path | CachePath, out: Path | StoragePath, report: Report = lambda _: None
) -> RunResult:
    assert CachePath.at(cache).local_path.is_dir()
    place = StoragePath.at(out)
    row = str(place).split("/")[-2]
    _log(f"run start {config.seed} {row}")
    if config.seed == FAIL_SEED:
        raise ValueError("the loss is not finite\nat step 3")
    if config.seed == DEATH_SEED:
        os._exit(7)
    rank_1 = expected_rank_1(config)
    variable = "FAKE_ABLATED_SECONDS" if isinstance(config.graph.propagate, NoPropagation) else "FAKE_SECONDS"
    curves: list[dict[str, float | int | str]] = []
    for step in range(1, 4):
        report(Progress("adapt", step, 3, {"loss": 1.0 / step}, rank_1 - 3 + step))
        curves.append({"stage": "adapt", "step": step, "name": "loss", "value": 1.0 / step})
        _work(float(os.environ.get(variable, "0")))
    with (place / "checkpoint.pt").writing() as file:
        file.write_text("weights")
    metrics = {"rank_1": rank_1, "rank_5": 90.0, "rank_10": 95.0, "map": rank_1 - 6, "minp": 40.0}
    _log(f"run end {config.seed} {row}")
    notes = ("source val was flat",)
    return RunResult(
        metrics=metrics,
        curves=curves,
        seconds=1.5,
        pretrain_seconds=0.5,
        notes=notes,
        config_digest=digest(config),
        source_digest="source",
        target_digest="target",
        queries=QUERIES,
        gallery=1500,
        ranking=_ranking(rank_1),
    )


def best_rate(config: Config) -> float:
    """Learning rate at which the scores of `score` are best: 0.012, or 0.0012 without the graph."""
    return 0.0012 if isinstance(config.graph.propagate, NoPropagation) else 0.012


def score(
    config: Config, *, cache: Path | CachePath, out: Path | StoragePath, report: Report = lambda _: None
) -> ScoredRun:
    """Scores that fall with the distance of the learning rate from the best one."""
    _log(f"score start {config.seed} {str(out).split('/')[-2]}")
    if config.adapt.lr == float(os.environ.get("FAKE_DIVERGING_RATE", "0")):
        raise DivergenceError("the loss is not finite at step 3")
    report(Progress("adapt", 1, 1, {"loss": 1.0}, None))
    distance = abs(math.log(config.adapt.lr / best_rate(config)))
    start = dict.fromkeys(SCORES, 1.0)
    return ScoredRun(start, dict.fromkeys(SCORES, 5.0 - distance) | {"rank_me": 1.0}, 0.5)


def _ranking(rank_1: float) -> Ranking:
    """Two captions per identity. The first captions have rank 1, the others rank 2."""
    place = torch.arange(QUERIES)
    rank = torch.where(place < rank_1 / 100 * QUERIES, 1, 2)
    return Ranking(place // 2, rank, 1 / rank.double(), 1 / rank.double(), torch.arange(5).expand(QUERIES, -1))


def _work(seconds: float) -> None:
    """Keep a core busy in C, as training does: a signal is handled only back in Python."""
    end = time.monotonic() + seconds
    a = torch.rand(300, 300)
    while time.monotonic() < end:
        a = torch.tanh(a @ a)

"""Runs share source pre-training exactly if it cannot differ between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gckd.config import Config, apply
from gckd.data.dataset_pair import open_datasets
from gckd.progress import Progress
from gckd.storage.checkpoint import load_checkpoint
from gckd.training.pretrain import pretrain_digest
from gckd.training.run import prepare_run, train_run

SHARED: dict[str, Any] = {
    "graph.propagate.k": 2,
    "graph.propagate": "none",
    "graph.memory.capacity": 6,
    "distill.matching.delta": 0.3,
    "distill.teacher.m": 0.5,
    "distill.alpha": 0.0,
    "adapt.lr": 5e-4,
    "adapt.batch": 5,
    "weights.target_matching": 0.0,
    "weights.source_metric": 0.5,
    "metric": "triplet",
    "align": "mmd",
    "adapt.parameters": "text-norms",
    "evaluate.k_test": 3,
}
OWN: dict[str, Any] = {
    "seed": 9,
    "backbone.embed_dim": 12,
    "backbone.vision.depth": 2,
    "augment.noise": 0.2,
    "pretrain.steps": 7,
    "centre": False,
    "pretrain.objective.size": 0,
    "weights.source_intra": 0.3,
    "weights.source_mlm": 0.3,
    "data.height": 24,
    "data.max_words": 3,
    "tokenizer.vocab_size": 32,
}


def name(config: Config, cache: Path) -> str:
    return pretrain_digest(config, open_datasets(config, cache))


@pytest.mark.parametrize("path", SHARED)
def test_fields_of_adaptation_share_pretraining(config: Config, cache: Path, path: str) -> None:
    assert name(apply(config, {path: SHARED[path]}), cache) == name(config, cache)


@pytest.mark.parametrize("path", OWN)
def test_fields_of_pretraining_do_not_share_it(config: Config, cache: Path, path: str) -> None:
    assert name(apply(config, {path: OWN[path]}), cache) != name(config, cache)


def test_a_second_run_does_not_train_again(config: Config, tmp_path: Path) -> None:
    prepare_run(config, cache=tmp_path / "cache")
    stages: list[str] = []

    def report(progress: Progress) -> None:
        stages.append(progress.stage)

    result = train_run(
        apply(config, {"graph.propagate.k": 2}), cache=tmp_path / "cache", out=tmp_path / "run", report=report
    )
    assert "pretrain" not in stages
    assert "adapt" in stages
    assert result.pretrain_seconds > 0
    assert {"pretrain", "adapt"} <= {str(point["stage"]) for point in result.curves}


def test_a_memory_may_be_longer_than_the_dataset(config: Config, tmp_path: Path) -> None:
    """Images recur with another caption, so that the memory holds fewer images than captions."""
    config = apply(config, {"pretrain.objective.size": 100, "pretrain.steps": 12})
    prepare_run(config, cache=tmp_path)
    (checkpoint,) = (tmp_path / "pretrain").glob("*/checkpoint.pt")
    modules = load_checkpoint(checkpoint)["modules"]
    assert int(modules["images"]["count"]) < int(modules["texts"]["count"])

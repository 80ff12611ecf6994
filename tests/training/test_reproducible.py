"""Reproducibility: equal config and seed give equal weights, and a resumed run equals an uninterrupted one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gckd.config import Config, apply
from gckd.config.stages import MomentumDistillation
from gckd.data.dataset_pair import open_datasets
from gckd.errors import InputError
from gckd.storage.checkpoint import load_checkpoint
from gckd.training.pretrain import pretrain_digest
from tests.training.micro import STEPS, Interruption, differences, row, stop_at, trained

Finished = Callable[[Config], dict[str, Any]]
# The last step is a crash after the last checkpoint; every second step has one.
CRASHES = [((), 1), ((), 3), ((), STEPS), (("gmp",), 3), (("cmkd",), 3), (("gmp", "cmkd"), 3)]
TIMED = {"/seconds"}  # wall clock, the one thing that differs


def pretraining(config: Config, cache: Path) -> Any:
    """Checkpoint of the source model of a config."""
    name = pretrain_digest(config, open_datasets(config, cache))
    return load_checkpoint(cache / "pretrain" / name / "checkpoint.pt")


def test_equal_seeds_give_equal_checkpoints_from_an_empty_cache(
    config: Config, cache: Path, tmp_path: Path, finished: Finished
) -> None:
    once, again = finished(config), trained(config, tmp_path / "cache", tmp_path / "run")
    assert set(differences(once, again)) <= TIMED
    assert set(differences(pretraining(config, cache), pretraining(config, tmp_path / "cache"))) <= TIMED


def test_another_seed_gives_other_weights(config: Config, finished: Finished) -> None:
    result = differences(finished(config), finished(apply(config, {"seed": 4})))
    assert "/modules/student/vision_proj.weight" in result


@pytest.mark.parametrize(("dropped", "step"), CRASHES)
def test_interrupted_adaptation_resumes_with_identical_results(
    config: Config, cache: Path, tmp_path: Path, finished: Finished, dropped: tuple[str, ...], step: int
) -> None:
    config = row(config, *dropped)
    with pytest.raises(Interruption):
        trained(config, cache, tmp_path, stop_at("adapt", step))
    assert set(differences(trained(config, cache, tmp_path), finished(config))) <= TIMED


@pytest.mark.parametrize(("objective", "step"), [("memory", 1), ("memory", 3), ("momentum", 3)])
def test_interrupted_pretraining_resumes_with_identical_results(
    config: Config, cache: Path, tmp_path: Path, finished: Finished, objective: str, step: int
) -> None:
    if objective == "momentum":
        config = apply(config, {"pretrain.objective": MomentumDistillation(queue=9)})
    with pytest.raises(Interruption):
        trained(config, tmp_path / "cache", tmp_path / "run", stop_at("pretrain", step))
    assert set(differences(trained(config, tmp_path / "cache", tmp_path / "run"), finished(config))) <= TIMED
    assert set(differences(pretraining(config, tmp_path / "cache"), pretraining(config, cache))) <= TIMED


def test_checkpoint_holds_banks_and_teacher(config: Config, finished: Finished) -> None:
    modules = finished(config)["modules"]
    assert {"student", "teacher", "banks", "propagate"} <= set(modules)
    for bank in ("source_image", "source_text", "target_image", "target_text"):
        assert int(modules["banks"][f"{bank}.count"]) == 7
        assert len(set(modules["banks"][f"{bank}.rows"].tolist())) == 7


def test_a_checkpoint_of_another_config_is_refused(config: Config, cache: Path, tmp_path: Path) -> None:
    trained(config, cache, tmp_path)
    with pytest.raises(InputError, match="the checkpoint is of run"):
        trained(apply(config, {"adapt.lr": 2e-3}), cache, tmp_path)


def test_a_broken_checkpoint_is_named(config: Config, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"checkpoint\.pt: not a gckd checkpoint"):
        trained(config, cache, tmp_path)

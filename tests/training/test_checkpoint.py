"""Content of a checkpoint, and a crash while one is written."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch

from gckd.config import Config, apply
from gckd.storage.checkpoint import load_checkpoint
from gckd.training.adapt import prepare_adaptation
from gckd.training.optimizer import learning_rate_factor
from tests.training.micro import STEPS, Interruption, differences, stop_at, trained

Finished = Callable[[Config], dict[str, Any]]
TIMED = {"/seconds"}


@pytest.fixture
def learned(config: Config) -> Config:
    """With weights in the graph too."""
    return apply(config, {"graph.propagate.conv": "sage"})


def test_a_checkpoint_holds_every_trained_part(learned: Config, cache: Path, finished: Finished) -> None:
    saved, adaptation = finished(learned), prepare_adaptation(learned, cache, lambda progress: None)
    parts, stage = adaptation.parts, adaptation.stage(lambda step: {})
    assert saved["digest"] == stage.digest
    assert saved["modules"]["student"].keys() == parts.student.state_dict().keys()
    teacher = saved["modules"]["teacher"]
    assert {name.removeprefix("copy.") for name in teacher} == parts.student.state_dict().keys()
    assert any(not torch.equal(teacher[f"copy.{name}"], value) for name, value in saved["modules"]["student"].items())
    assert saved["modules"]["propagate"].keys() == parts.propagate.state_dict().keys() != set()
    banks = saved["modules"]["banks"]
    for bank in ("source_image", "source_text", "target_image", "target_text"):
        assert {f"{bank}.{what}" for what in ("embeddings", "rows", "identities", "pointer", "count")} <= banks.keys()
    trainable = sum(p.requires_grad for module in stage.modules.values() for p in module.parameters())
    (adamw,) = saved["optimizer"]
    moments = adamw["state"].values()
    assert 0 < len(moments) <= trainable
    assert all({"step", "exp_avg", "exp_avg_sq"} <= state.keys() for state in moments)
    # The scheduler, the sampler's position and the random streams are functions of this number and the seed.
    assert saved["step"] == STEPS
    last = learned.adapt.lr * learning_rate_factor(STEPS - 1, STEPS, learned.adapt.warmup)
    assert {group["lr"] for group in adamw["param_groups"]} == {last}


def test_resuming_does_not_depend_on_global_random_state(
    config: Config, cache: Path, tmp_path: Path, finished: Finished
) -> None:
    """With dropout on, a resumed run is identical whatever the state of the global random generators."""
    with pytest.raises(Interruption):
        trained(config, cache, tmp_path, stop_at("adapt", 3))
    torch.manual_seed(12345)
    np.random.seed(12345)
    random.seed(12345)
    assert set(differences(trained(config, cache, tmp_path), finished(config))) <= TIMED


def test_a_crash_during_a_write_leaves_the_previous_checkpoint(
    config: Config, cache: Path, tmp_path: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, save = tmp_path / "checkpoint.pt", torch.save

    def half(content: Any, opened: BinaryIO) -> None:
        """Crashes half way through the second checkpoint of the adaptation."""
        save(content, opened)
        if file.exists() and "teacher" in content["modules"]:
            opened.truncate(opened.tell() // 2)
            raise Interruption

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(Interruption):
        trained(config, cache, tmp_path)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [file]
    assert load_checkpoint(file)["step"] == STEPS // 2
    assert set(differences(trained(config, cache, tmp_path), finished(config))) <= TIMED
    assert list(tmp_path.iterdir()) == [file]

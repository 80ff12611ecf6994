"""Warm starts of the banks are computed once for all runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gckd.config import Config, apply
from gckd.method.warm_start import WarmStart
from gckd.training.adapt import Adaptation, prepare_adaptation
from gckd.training.run import train_run


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gckd.method.warm_start.BATCH", 4)


def test_rows_and_trials_share_a_warm_start(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """C, K, delta and m do not recompute the embeddings; their cost is reported all the same."""
    one = prepare_adaptation(config, tmp_path, lambda progress: None)
    one.step.warm_start(one.warm_start)
    monkeypatch.setattr("gckd.method.banks.embed_clean", lambda *args, **kwargs: pytest.fail("computed again"))
    edits = {
        "graph.memory.capacity": 5,
        "graph.propagate.k": 2,
        "distill.matching.delta": 0.1,
        "distill.teacher.m": 0.5,
    }
    two = prepare_adaptation(apply(config, edits), tmp_path, lambda progress: None)
    two.step.warm_start(two.warm_start)
    for bank, same in zip(two.parts.banks.all(), one.parts.banks.all(), strict=True):
        assert torch.equal(bank.embeddings, same.embeddings[: len(bank.embeddings)])
    assert one.warm_start.seconds >= two.warm_start.seconds > 0.0


def test_a_run_without_adaptation_computes_no_warm_start(
    config: Config, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The expected result is that of the same run with filled banks."""
    source_model = apply(config, {"adapt.steps": 0})
    with monkeypatch.context() as patched:
        patched.setattr(Adaptation, "fills_banks", True)
        expected = train_run(source_model, cache=cache, out=tmp_path / "filled")
    monkeypatch.setattr(WarmStart, "first", lambda *args: pytest.fail("a warm start was computed"))
    result = train_run(source_model, cache=cache, out=tmp_path / "empty")
    assert (result.metrics, result.notes, result.curves) == (expected.metrics, expected.notes, expected.curves)
    assert torch.equal(result.ranking.top, expected.ranking.top)


@pytest.mark.parametrize(
    ("edits", "is_filled"),
    [
        ({"adapt.lr": 0.5}, True),
        ({"adapt.steps": 0}, False),
        ({"adapt.steps": 0, "evaluate.propagate": True}, True),  # test items join the graph over the banks
        ({"graph.memory.warm_start": False}, False),
    ],
)
def test_the_banks_are_filled_if_anything_reads_them(
    config: Config, cache: Path, edits: dict[str, Any], is_filled: bool
) -> None:
    assert prepare_adaptation(apply(config, edits), cache, lambda progress: None).fills_banks == is_filled

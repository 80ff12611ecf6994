"""Eq. 10: the total is the weighted sum of the named terms."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gckd.config.stages import Adapt, Weights
from gckd.training.trainer import Stage

WEIGHTS = {"a": 2.0, "b": 0.5, "c": 7.0}


def one_step(model: nn.Linear, terms: dict[str, Tensor], weights: dict[str, float], folder: Path) -> Stage:
    schedule = Adapt(steps=1, lr=0.1, warmup=0.0, weight_decay=0.0, clip=1e6, evaluations=1)
    stage = Stage("adapt", "digest", 0, schedule, {"model": model}, lambda step: terms, weights, lambda done: {})
    stage.run(folder / "checkpoint.pt")
    return stage


def model() -> nn.Linear:
    layer = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


def test_the_gradient_is_that_of_the_weighted_sum(tmp_path: Path) -> None:
    layer = model()
    terms = {"a": layer(torch.tensor([1.0, 0.0]))[0], "b": layer(torch.tensor([10.0, 4.0]))[0]}
    stage = one_step(layer, terms, WEIGHTS, tmp_path)
    # 2 * (1, 0) + 0.5 * (10, 4); "c" has no term at this step.
    assert layer.weight.grad is not None
    assert layer.weight.grad.tolist() == [[7.0, 2.0]]
    assert {p["name"] for p in stage.curve} == {"a", "b"}


def test_accumulated_batches_make_one_step_on_their_mean(tmp_path: Path) -> None:
    layer, batches = model(), []

    def terms(batch: int) -> dict[str, Tensor]:
        batches.append(batch)
        return {"a": layer(torch.tensor([float(batch), 1.0]))[0]}

    schedule = Adapt(steps=2, accumulate=3, lr=0.1, warmup=0.0, weight_decay=0.0, clip=1e6, evaluations=1)
    stage = Stage("adapt", "digest", 0, schedule, {"model": layer}, terms, WEIGHTS, lambda done: {})
    stage.run(tmp_path / "checkpoint.pt")
    assert batches == [0, 1, 2, 3, 4, 5]
    # Of the second step: 2 * mean((3, 1), (4, 1), (5, 1)).
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, torch.tensor([[8.0, 2.0]]))


def test_a_weight_of_0_removes_a_term(tmp_path: Path) -> None:
    layer = model()
    terms = {"a": layer(torch.tensor([1.0, 0.0]))[0], "b": layer(torch.tensor([10.0, 4.0]))[0]}
    one_step(layer, terms, {"a": 1.0, "b": 0.0}, tmp_path)
    assert layer.weight.grad is not None
    assert layer.weight.grad.tolist() == [[1.0, 0.0]]


def test_a_loss_that_is_not_finite_stops_the_run_with_its_name(tmp_path: Path) -> None:
    layer = model()
    bad = {"a": layer(torch.ones(2))[0], "b": layer(torch.ones(2))[0] / 0}
    with pytest.raises(FloatingPointError, match=r"adapt step 1: .*b nan"):
        one_step(layer, bad, WEIGHTS, tmp_path)


def test_every_term_of_the_method_has_a_weight() -> None:
    names = {field.name for field in dataclasses.fields(Weights)}
    assert {"source_contrastive", "source_matching", "source_mlm", "target_contrastive", "target_matching"} <= names

"""Rounds: equal parts of the adaptation, each of which starts as a new adaptation of the current student."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gckd.config import Config, ConfigError, apply
from gckd.config.stages import Adapt
from gckd.method.banks import embed_clean
from gckd.seeding import generator
from gckd.training.adapt import Adaptation, prepare_adaptation
from gckd.training.optimizer import ScheduledOptimizer
from gckd.training.rounds import round_of
from gckd.training.trainer import Stage
from tests.training.micro import Interruption, differences, row, stop_at, trained


@pytest.mark.parametrize(("steps", "rounds"), [(1, 1), (7, 1), (6, 2), (7, 3), (10, 4), (5, 5)])
def test_rounds_are_consecutive_and_differ_by_one_step_at_most(steps: int, rounds: int) -> None:
    starts = [math.floor(number * steps / rounds) for number in range(rounds)] + [steps]
    for step in range(steps):
        first = max(start for start in starts if start <= step)
        last = min(start for start in starts if start > step)
        assert round_of(step, steps, rounds) == (first, last - first)
    lengths = {end - start for start, end in pairwise(starts)}
    assert lengths <= {steps // rounds, math.ceil(steps / rounds)}


def test_the_learning_rate_restarts_with_each_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, factors = nn.Linear(1, 1), []
    monkeypatch.setattr(ScheduledOptimizer, "set_learning_rate", lambda self, factor: factors.append(factor))
    events: list[Any] = []

    def terms(batch: int) -> dict[str, Tensor]:
        events.append(batch)
        return {"a": layer(torch.ones(1))[0]}

    schedule = Adapt(steps=7, lr=0.5, warmup=0.5, evaluations=1)
    stage = Stage("adapt", "digest", 0, schedule, {"model": layer}, terms, {"a": 1.0}, lambda step: {}, rounds=2)
    stage.before_round = lambda: events.append("round")
    stage.run(tmp_path / "checkpoint.pt")
    assert events == [0, 1, 2, "round", 3, 4, 5, 6]
    # Of 3 steps the warm-up takes 2, of 4 steps 2; then half a cosine to zero, which starts at the peak.
    assert factors == pytest.approx([1 / 2, 1, 1, 1 / 2, 1, 1, 1 / 2])


def perturbed(config: Config, cache: Path) -> Adaptation:
    """Adaptation with full banks and a student that has moved away from the source model."""
    adaptation = prepare_adaptation(config, cache, lambda progress: None)
    adaptation.step.warm_start(adaptation.warm_start)
    with torch.no_grad():
        for parameter in adaptation.parts.student.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)), alpha=0.1)
    return adaptation


def test_a_round_starts_from_the_student(config: Config, cache: Path) -> None:
    adaptation = perturbed(config, cache)
    parts, before = adaptation.parts, [bank.embeddings.clone() for bank in adaptation.parts.banks.all()]
    parts.banks.push(parts.teacher.model(), parts.feed.source.batch(0), parts.feed.target.batch(0))
    adaptation.stage(lambda step: {}).before_round()
    student, teacher = parts.student.state_dict(), parts.teacher.model().state_dict()
    assert all(torch.equal(teacher[name], value) for name, value in student.items())
    loaders = {"source": parts.feed.source, "target": parts.feed.target}
    names = "source-image", "source-text", "target-image", "target-text"
    for name, bank in zip(names, parts.banks.all(), strict=True):
        domain, modality = name.split("-")
        loader: Any = loaders[domain]
        count = loader.image_count if modality == "image" else loader.caption_count
        order = torch.randperm(count, generator=generator(config.seed, f"warm-start/{name}"))[:7]
        assert bank.rows.tolist() == order.tolist()
        images = loader.images_at(order) if modality == "image" else None
        tokens = loader.tokens_at(order) if modality == "text" else None
        expected = embed_clean(parts.student, images, tokens)[modality == "text"]
        torch.testing.assert_close(bank.embeddings, expected, atol=1e-5, rtol=0)
        kind = "image" if modality == "image" else "caption"
        identities = loader.identities_at(order, kind).tolist() if domain == "source" else [-1] * 7
        assert bank.identities.tolist() == identities
        assert (len(bank), int(bank.pointer)) == (7, 0)
    assert not any(torch.equal(bank.embeddings, old) for bank, old in zip(parts.banks.all(), before, strict=True))


def test_without_warm_start_a_round_starts_with_empty_banks(config: Config, cache: Path) -> None:
    config = apply(config, {"graph.memory.warm_start": False})
    adaptation = perturbed(config, cache)
    adaptation.stage(lambda step: {}).before_round()
    assert [len(bank) for bank in adaptation.parts.banks.all()] == [0, 0, 0, 0]


def test_the_baseline_refills_the_source_banks_alone(config: Config, cache: Path) -> None:
    adaptation = perturbed(row(config, "gmp", "cmkd"), cache)
    adaptation.stage(lambda step: {}).before_round()
    assert [len(bank) for bank in adaptation.parts.banks.all()] == [7, 7, 0, 0]


# With 3 rounds of 4 steps, rounds start at steps 1 and 2; checkpoints are written after steps 2 and 4.
@pytest.mark.parametrize(("rounds", "step"), [(2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3)])
def test_an_interrupted_run_with_rounds_resumes_with_identical_results(
    config: Config, cache: Path, tmp_path: Path, finished: Callable[[Config], dict[str, Any]], rounds: int, step: int
) -> None:
    config = apply(config, {"adapt.rounds": rounds})
    with pytest.raises(Interruption):
        trained(config, cache, tmp_path, stop_at("adapt", step))
    assert set(differences(trained(config, cache, tmp_path), finished(config))) <= {"/seconds"}


def test_more_rounds_than_steps_are_refused(config: Config) -> None:
    with pytest.raises(ConfigError, match="adapt.rounds: 5 is outside its limit: <= adapt.steps = 4"):
        apply(config, {"adapt.rounds": 5})
    assert apply(config, {"adapt.rounds": 5, "adapt.steps": 0}).adapt.rounds == 5  # the row of the source model

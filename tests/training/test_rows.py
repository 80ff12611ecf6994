"""Rows of a component table: equal batches, and components whose removal changes only what they declare."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gckd.ablations.components import COMPONENTS
from gckd.config import Config, apply, value_at
from gckd.config.distill import (
    EntropyMinimisation,
    MutualNeighbours,
    NoMatching,
    NoTargets,
    PropagatedLabels,
    TransportCost,
)
from gckd.config.graph import Clusters, Diffusion, NoPropagation
from gckd.config.losses import Adversarial, Captions, CaptionsAndViews, Mmd, MultiSimilarity, Triplet, Views
from gckd.config.stages import MomentumDistillation, Weights
from gckd.data.dataset_pair import open_datasets
from gckd.data.loaders import SourceLoader, TargetLoader
from tests.toy import make_toy, shuffle_labels
from tests.training.micro import STEPS, differences, row, trained

ROWS = [(), ("gmp",), ("cmkd",), ("gmp", "cmkd")]
by_name = pytest.mark.parametrize("dropped", ROWS, ids=lambda names: "-".join(names) or "full")
Train = Callable[[Config], dict[str, Any]]


@pytest.fixture(scope="session")
def student(finished: Train) -> Train:
    """Function that trains a config once per session and returns the student's weights."""

    def train(config: Config) -> dict[str, Any]:
        weights: dict[str, Any] = finished(config)["modules"]["student"]
        return weights

    return train


def changed(config: Config, edits: dict[str, Any]) -> Config:
    return apply(config, {path: value for path, value in edits.items() if value_at(config, path) != value})


def test_the_baseline_opens_no_target_batch(
    config: Config, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a target batch was opened")

    monkeypatch.setattr(TargetLoader, "batch", refuse)
    trained(row(config, "gmp", "cmkd"), cache, tmp_path / "baseline")
    with pytest.raises(AssertionError, match="target batch"):
        trained(config, cache, tmp_path / "full")


def test_the_target_does_not_reach_the_baseline(config: Config, student: Train, tmp_path: Path) -> None:
    """With other target images and the same captions, which are in the vocabulary, source-only weights are equal."""
    base = row(config, "gmp", "cmkd")
    other = apply(base, {"data.target": str(make_toy(tmp_path / "other", shade=77))})
    assert differences(student(base), student(other)) == []


def test_every_row_sees_the_same_batches(
    config: Config, cache: Path, tmp_path: Path, student: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    student(config)  # so that pre-training, which draws batches too, is cached
    seen: dict[str, list[list[int]]] = {}
    for loader in (SourceLoader, TargetLoader):

        def spy(self: Any, step: int, batch: Any = loader.batch, name: str = loader.__name__) -> Any:
            result = batch(self, step)
            seen.setdefault(name, []).append([step, *result.image_rows.tolist(), *result.caption_rows.tolist()])
            return result

        monkeypatch.setattr(loader, "batch", spy)
    rows = []
    for dropped in ROWS:
        seen.clear()
        trained(row(config, *dropped), cache, tmp_path / "-".join(dropped))
        rows.append(dict(seen))
    full = rows[0]
    assert [step for step, *_ in full["SourceLoader"]] == list(range(STEPS))
    assert all(result["SourceLoader"] == full["SourceLoader"] for result in rows)
    assert all(result["TargetLoader"] == full["TargetLoader"] for result in rows[:3])
    assert "TargetLoader" not in rows[3]


@by_name
def test_each_row_has_its_loss_terms(config: Config, finished: Train, dropped: tuple[str, ...]) -> None:
    curve = finished(row(config, *dropped))["curve"]
    terms = {str(point["name"]) for point in curve} & {field.name for field in dataclasses.fields(Weights)}
    source = {"source_contrastive", "source_matching", "source_mlm"}
    target = {"target_contrastive"} if "gmp" not in dropped or "cmkd" not in dropped else set()
    matching = {"target_matching"} if "cmkd" not in dropped else set()
    assert terms == source | target | matching


def test_without_the_teacher_the_checkpoint_has_no_second_model(config: Config, finished: Train) -> None:
    assert not finished(row(config, "cmkd"))["modules"].get("teacher")


TOGGLES: dict[str, Any] = {
    "graph.propagate": NoPropagation(),
    "graph.propagate.k": 1,
    "graph.propagate.layers": 1,
    "graph.propagate.residual": 0.9,
    "graph.propagate.temperature": 1.0,
    "graph.propagate.conv": "sage",
    "graph.propagate.cross_edges": False,
    "graph.propagate.joint": True,
    "graph.propagate.images": False,
    "graph.propagate.texts": False,
    "graph.propagate ": Diffusion(k=3),
    "graph.propagate  ": Clusters(k=3),
    "tokenizer.unseen": "keep",
    "distill.targets.agree": False,
    "distill.targets.confidence": 0.0,
    "graph.memory.capacity": 5,
    "centre": False,
    "graph.memory.warm_start": False,
    "graph.memory.source": False,
    "graph.memory.target": False,
    "distill.teacher.m": 0.1,
    "distill.targets.sharpen": 1.0,
    "distill.targets": MutualNeighbours(),
    "distill.targets ": TransportCost(),
    "distill.targets  ": PropagatedLabels(),
    "distill.targets   ": EntropyMinimisation(),
    "align": Mmd(),
    "align ": Adversarial(),
    "metric": Triplet(),
    "metric ": MultiSimilarity(),
    "selfsup": Captions(),
    "selfsup ": Views(neighbours=2),
    "adapt.parameters": "text-norms",
    "adapt.rounds": 2,
    "distill.matching": NoMatching(),
    "distill.matching.delta": 0.6,
    "distill.matching.negatives": "random",
    "distill.targets.hard": True,
    "distill.alpha": 0.0,
    "weights.source_contrastive": 0.5,
    "weights.source_intra": 0.0,
    "weights.source_matching": 0.0,
    "weights.source_mlm": 0.0,
    "weights.target_contrastive": 0.0,
    "weights.target_matching": 0.0,
    "augment.erase": 0.0,
    "augment.word_dropout": 0.0,
    "pretrain.ramp": 0.0,
    "pretrain.objective.size": 0,
    "pretrain.per_identity": 1,
    "pretrain.objective": MomentumDistillation(queue=9),
    "adapt.fusion_every": 1,
}


@pytest.mark.parametrize("path", TOGGLES)
def test_every_toggle_changes_the_numbers(config: Config, student: Train, path: str) -> None:
    assert differences(student(config), student(apply(config, {path.strip(): TOGGLES[path]})))


@pytest.mark.parametrize("name", ["image-graph", "text-graph"])
def test_diffusion_uses_both_modalities(config: Config, student: Train, name: str) -> None:
    full = apply(config, {"graph.propagate": Diffusion(k=3)})
    without = student(row(full, name))
    assert differences(student(full), without)
    assert differences(student(row(full, "gmp")), without)


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_component_does_something(config: Config, finished: Train, name: str) -> None:
    """Removal changes the declared config paths and the weights, and nothing else; losses stay finite."""
    full = apply(config, {"graph.propagate.conv": "sage", "distill.matching.delta": 0.4})
    without = row(full, name)
    restored = {path: value_at(full, path) for path in COMPONENTS[name].edits}
    assert apply(without, restored) == full
    one, two = finished(full), finished(without)
    assert differences(one["modules"]["student"], two["modules"]["student"])
    assert all(math.isfinite(float(point["value"])) for point in two["curve"])


@pytest.mark.parametrize("conv", ["gcn", "sage", "gatv2", "gin"])
def test_a_learned_convolution_learns(config: Config, finished: Train, conv: str) -> None:
    """Only the graph term has a gradient for the convolution; the pseudo labels pass its effect to the student."""
    config = apply(config, {"graph.propagate.conv": conv})
    taught, untaught = finished(config)["modules"], finished(apply(config, {"weights.graph": 0.0}))["modules"]
    gates = [name for name in taught["propagate"] if ".gates." in name]
    assert len(gates) == 4  # two layers for each modality
    assert all(bool(taught["propagate"][name].any()) for name in gates)
    assert not any(bool(untaught["propagate"][name].any()) for name in gates)
    assert differences(taught["student"], untaught["student"])


WITHOUT = {"distill.matching": NoMatching()}
SAME = [
    ({"weights.target_matching": 0.0}, WITHOUT),
    (
        {
            "weights.target_contrastive": 0.0,
            "distill.matching": NoMatching(),
            "distill.alpha": 0.0,
        },
        {"distill.targets": NoTargets(), "distill.matching": NoMatching()},
    ),
]


@pytest.mark.parametrize(("zero", "off"), SAME, ids=["matching", "targets"])
def test_weight_0_equals_the_switched_off_component(
    config: Config, student: Train, zero: dict[str, Any], off: dict[str, Any]
) -> None:
    # Dropout draws from one stream a step, and an extra forward pass would shift it.
    config = apply(config, {"backbone.text.dropout": 0.0})
    one, two = student(changed(config, zero)), student(changed(config, off))
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=1e-6, rtol=1e-5, msg=name)


def test_residual_1_equals_no_graph(config: Config, student: Train) -> None:
    one = student(apply(config, {"graph.propagate.residual": 1.0}))
    two = student(row(config, "gmp"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=1e-4, rtol=1e-3, msg=name)


@by_name
def test_target_labels_and_pairing_change_no_weight(
    config: Config, cache: Path, tmp_path: Path, finished: Train, dropped: tuple[str, ...]
) -> None:
    other = apply(config, {"data.target": str(shuffle_labels(make_toy(tmp_path / "shuffled", shade=120), ["train"]))})
    stores = [open_datasets(c, cache).target for c in (config, other)]
    assert stores[0].digest != stores[1].digest  # the labels did change
    one, two = finished(row(config, *dropped)), finished(row(other, *dropped))
    assert differences(one["modules"], two["modules"]) == []


def test_target_labels_and_pairing_do_not_reach_self_supervision(
    config: Config, cache: Path, tmp_path: Path, finished: Train
) -> None:
    selfsup = apply(config, {"selfsup": CaptionsAndViews(neighbours=2)})
    shuffled = str(shuffle_labels(make_toy(tmp_path / "shuffled", shade=120), ["train"]))
    one, two = finished(selfsup), finished(apply(selfsup, {"data.target": shuffled}))
    assert differences(one["modules"], two["modules"]) == []

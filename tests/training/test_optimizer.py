"""Optimisers of a stage: which parameters each one updates, its step, its schedule, and resumption."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gckd.config import Config, apply, preset
from gckd.config.optimizers import AdamW, Muon
from gckd.data.types import Vocabulary
from gckd.models.build import build_model
from gckd.training.optimizer import OPTIMIZERS, ScheduledOptimizer, learning_rate_factor, weight_matrices
from tests.training.micro import STEPS, Interruption, differences, stop_at, trained

Finished = Callable[[Config], dict[str, Any]]
# Parameters of ALBEF with two dimensions or more that are not weights of linear layers.
NOT_MATRICES = ("cls_token", "pos_embed", "patch_embed", "embeddings", "predictions.decoder", "log_tau")


@pytest.fixture
def with_muon(config: Config) -> Config:
    return apply(config, {"pretrain.optimizer": "muon", "adapt.optimizer": "muon", "graph.propagate.conv": "sage"})


def test_muon_updates_the_weights_of_linear_layers_alone() -> None:
    model = build_model(preset("tiny"), Vocabulary(300, 3))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    matrices = {names[id(matrix)] for matrix in weight_matrices(model)}
    expected = {n for n in names.values() if n.endswith(".weight") and not any(part in n for part in NOT_MATRICES)}
    assert matrices == {n for n in expected if "norm" not in n.lower() and "bn" not in n.lower()}


def test_an_untied_vocabulary_head_is_not_a_matrix() -> None:
    model = build_model(preset("tiny"), Vocabulary(300, 3))
    head = nn.Linear(model.word_embeddings().shape[1], 300)
    modules = nn.ModuleList([model, head, nn.Linear(300, 4)])
    expected = [*weight_matrices(model), modules[2].weight]
    assert {id(matrix) for matrix in weight_matrices(modules)} == {id(matrix) for matrix in expected}


@pytest.mark.parametrize("node", [AdamW(), Muon()])
def test_every_trainable_parameter_is_updated_by_one_optimiser(node: AdamW | Muon) -> None:
    model = build_model(preset("tiny"), Vocabulary(300, 3))
    model.word_embeddings().requires_grad_(False)
    optimizers = OPTIMIZERS.build(node, model, 1e-3, 0.02)
    updated = [id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    assert sorted(updated) == sorted(id(p) for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("shape", [(48, 16), (16, 48)])
def test_a_muon_step_moves_along_the_singular_vectors_of_the_gradient(shape: tuple[int, int]) -> None:
    """The update is U S V^T with singular values S near 1, where U and V are those of the gradient, from an SVD."""
    layer = nn.Linear(shape[1], shape[0], bias=False)
    before, gradient = layer.weight.detach().clone(), torch.randn(shape, generator=torch.Generator().manual_seed(0))
    layer.weight.grad = gradient.clone()
    ScheduledOptimizer(OPTIMIZERS.build(Muon(lr_ratio=2), layer, 0.25, 0.0)).step()
    update = (before - layer.weight.detach()) / (0.5 * max(1.0, shape[0] / shape[1]) ** 0.5)
    u, _, vh = torch.linalg.svd(gradient, full_matrices=False)
    core = u.T @ update @ vh.T  # diagonal if the singular vectors agree
    assert float((core - core.diag().diag()).abs().max()) < 0.1
    assert float(core.diag().min()) > 0.6 and float(core.diag().max()) < 1.3


def micro_matrices() -> nn.ModuleList:
    """Layers of three shapes, two of them several times."""
    torch.manual_seed(0)
    return nn.ModuleList(nn.Linear(*shape, bias=False) for shape in ((16, 48), (48, 16), (16, 48), (8, 8), (16, 48)))


def take_steps(layers: nn.ModuleList, step: Callable[[], None], seeds: range) -> None:
    """One optimiser step for each seed, with random gradients."""
    for seed in seeds:
        random = torch.Generator().manual_seed(seed)
        for weight in layers.parameters():
            weight.grad = torch.randn(weight.shape, generator=random)
        step()


def torch_muon(layers: nn.ModuleList) -> torch.optim.Optimizer:
    """Muon of torch, with the learning rates of the original."""
    return torch.optim.Muon(layers.parameters(), 2e-2, weight_decay=0.1, momentum=0.9, adjust_lr_fn="original")


def our_muon(layers: nn.ModuleList) -> ScheduledOptimizer:
    """Muon of the registry, with the same options."""
    return ScheduledOptimizer(OPTIMIZERS.build(Muon(lr_ratio=2, momentum=0.9), layers, 1e-2, 0.1))


def test_muon_updates_equal_those_of_torch() -> None:
    """torch orthogonalises one matrix at a time. Both round to bfloat16, 3 significant digits."""
    layers, oracle = micro_matrices(), micro_matrices()
    take_steps(layers, our_muon(layers).step, range(5))
    take_steps(oracle, torch_muon(oracle).step, range(5))
    for ours, expected in zip(layers, oracle, strict=True):
        torch.testing.assert_close(ours.weight, expected.weight, rtol=0, atol=5 * 2e-2 * 1e-2)


def test_muon_resumes_from_a_state_of_torch_muon() -> None:
    layers, oracle = micro_matrices(), micro_matrices()
    expected, resumed = torch_muon(oracle), our_muon(layers)
    take_steps(oracle, expected.step, range(3))
    layers.load_state_dict(oracle.state_dict())
    resumed.load_state_dict([copy.deepcopy(expected.state_dict()), resumed.optimizers[1].state_dict()])
    take_steps(oracle, expected.step, range(3, 6))
    take_steps(layers, resumed.step, range(3, 6))
    for ours, theirs in zip(layers, oracle, strict=True):
        torch.testing.assert_close(ours.weight, theirs.weight, rtol=0, atol=3 * 2e-2 * 1e-2)


def test_all_learning_rates_follow_the_schedule_from_their_peaks() -> None:
    model = build_model(preset("tiny"), Vocabulary(300, 3))
    optimizer = ScheduledOptimizer(OPTIMIZERS.build(Muon(lr_ratio=20), model, 1e-3, 0.0))
    for factor in (0.25, 1.0, 0.5):  # twice in a row: each is relative to the peak, not to the last rate
        optimizer.set_learning_rate(factor)
        rates = [[group["lr"] for group in each.param_groups] for each in optimizer.optimizers]
        assert rates == [[factor * 0.02], [factor * 1e-3] * 2]


def test_a_loaded_state_keeps_the_peaks() -> None:
    layer = nn.Linear(4, 4)
    saved = ScheduledOptimizer(OPTIMIZERS.build(Muon(lr_ratio=20), layer, 1e-3, 0.0))
    saved.set_learning_rate(0.1)
    loaded = ScheduledOptimizer(OPTIMIZERS.build(Muon(lr_ratio=20), layer, 1e-3, 0.0))
    loaded.load_state_dict(saved.state_dict())
    loaded.set_learning_rate(1.0)
    assert [group["lr"] for each in loaded.optimizers for group in each.param_groups] == [0.02, 1e-3, 1e-3]


def test_muon_trains_both_stages_and_resumes_with_identical_results(
    with_muon: Config, cache: Path, tmp_path: Path, finished: Finished
) -> None:
    whole = finished(with_muon)
    muon, adamw = whole["optimizer"]
    assert len(muon["state"]) > 0 and len(adamw["state"]) > 0
    assert muon["param_groups"][0]["lr"] == pytest.approx(
        4e-3 / 3 * learning_rate_factor(STEPS - 1, STEPS, with_muon.adapt.warmup)
    )
    with pytest.raises(Interruption):
        trained(with_muon, cache, tmp_path, stop_at("adapt", 3))
    resumed = trained(with_muon, cache, tmp_path)
    assert differences(whole["modules"], resumed["modules"]) == []
    assert differences(whole["optimizer"], resumed["optimizer"]) == []

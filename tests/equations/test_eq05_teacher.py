"""Eq. 5: Theta_T <- m Theta_T + (1 - m) Theta_S, over parameters and buffers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gckd.method.teacher import EmaTeacher, StudentAsTeacher


def student() -> nn.Sequential:
    """A model with parameters, float buffers (running statistics) and an integer buffer (their count)."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def disturb(model: nn.Module, seed: int) -> None:
    """Replace every float tensor by random values, and add 5 to every counter."""
    random = torch.Generator().manual_seed(seed)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.randn(tensor.shape, generator=random))
        else:
            tensor.add_(5)


def test_the_teacher_starts_as_a_copy_without_gradients() -> None:
    model = student()
    teacher = EmaTeacher(model, m=0.5)
    for name, tensor in teacher.model().state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])
    disturb(model, 1)
    assert not torch.equal(teacher.model().state_dict()["0.weight"], model.state_dict()["0.weight"])
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher.model().training


def test_two_updates_by_hand() -> None:
    model = student()
    teacher, m = EmaTeacher(model, m=0.9), 0.9
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for seed in (1, 2):
        disturb(model, seed)
        teacher.update(model)
        now = model.state_dict()
        expected = {
            k: m * v + (1 - m) * now[k] if v.is_floating_point() else now[k].clone() for k, v in expected.items()
        }
    averaged = teacher.model().state_dict()
    assert {"1.running_mean", "1.running_var", "1.num_batches_tracked"} <= set(averaged)
    for name, tensor in expected.items():
        torch.testing.assert_close(averaged[name], tensor)
    assert int(averaged["1.num_batches_tracked"]) == 10


def test_m_0_copies_the_student() -> None:
    model = student()
    teacher = EmaTeacher(model, m=0.0)
    disturb(model, 1)
    teacher.update(model)
    for name, tensor in teacher.model().state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])


def test_tied_weights_are_averaged_once() -> None:
    model: Any = nn.ModuleDict({"words": nn.Embedding(3, 2), "decoder": nn.Linear(2, 3, bias=False)})
    model["decoder"].weight = model["words"].weight
    teacher: Any = EmaTeacher(model, m=0.5)
    start = model["words"].weight.detach().clone()
    with torch.no_grad():
        model["words"].weight.zero_()
    teacher.update(model)
    torch.testing.assert_close(teacher.model()["words"].weight, start / 2)
    assert teacher.model()["decoder"].weight is teacher.model()["words"].weight


@pytest.mark.parametrize("steps", [1, 100])
def test_momentum_decays_geometrically(steps: int) -> None:
    model = nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(1.0)
    teacher = EmaTeacher(model, m=0.97)
    with torch.no_grad():
        model.weight.fill_(0.0)
    for _ in range(steps):
        teacher.update(model)
    assert float(teacher.model().weight) == pytest.approx(0.97**steps, rel=1e-4)


def test_without_a_teacher_the_student_takes_its_place() -> None:
    model = student()
    substitute = StudentAsTeacher(model)
    substitute.update(model)
    assert substitute.model() is model
    assert substitute.state_dict() == {}

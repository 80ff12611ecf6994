"""Gradient reversal and the domain loss, by hand and by finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gckd.config.losses import Adversarial
from gckd.method.alignment import AdversarialLoss, StudentEmbeddings, reverse_gradient
from tests.tensors import units

PROGRESS = 0.3
LAMBDA = 2 / (1 + math.exp(-10 * PROGRESS)) - 1


def test_reversal_by_hand() -> None:
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reverse_gradient(x, 0.7)
    assert torch.equal(y, x)
    (3 * y**2).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.tensor([-0.7 * 6, 0.7 * 12]))


def adversarial(modality: str = "both") -> AdversarialLoss:
    torch.manual_seed(0)
    return AdversarialLoss(Adversarial(modality=modality, hidden=5), 4).double()


def batch(seed: int) -> StudentEmbeddings:
    return StudentEmbeddings(units(3, seed=seed).requires_grad_(), units(3, seed=seed + 1).requires_grad_())


def domain_loss(loss: AdversarialLoss, modality: str, source: Tensor, target: Tensor) -> float:
    """Mean of -log p(true domain), layer by layer."""
    first, _, second, _, last = loss.discriminators[modality]  # type: ignore[misc]
    total = 0.0
    for x, is_target in [(x, False) for x in source] + [(x, True) for x in target]:
        h = (first.weight @ x + first.bias).clamp(min=0)
        h = (second.weight @ h + second.bias).clamp(min=0)
        p = 1 / (1 + math.exp(-float((last.weight[0] @ h + last.bias[0]).detach())))
        total -= math.log(p if is_target else 1 - p)
    return total / (len(source) + len(target))


def test_the_loss_by_hand() -> None:
    loss, source, target = adversarial(), batch(1), batch(5)
    expected = [domain_loss(loss, name, getattr(source, name), getattr(target, name)) for name in ("image", "text")]
    terms = loss(source, target, PROGRESS)
    assert list(terms) == ["align"]
    assert float(terms["align"]) == pytest.approx(sum(expected) / 2)


def test_encoders_get_the_reversed_gradient_and_discriminators_their_own() -> None:
    loss, source, target = adversarial("image"), batch(1), batch(5)
    loss(source, target, PROGRESS)["align"].backward()
    weight = loss.discriminators["image"][0].weight  # type: ignore[index]
    step = 1e-6
    for tensor, factor in ((source.image, -LAMBDA), (target.image, -LAMBDA), (weight, 1.0)):
        for position in ((0, 0), (2, 3)):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    tensor[position] += sign * step
                values.append(domain_loss(loss, "image", source.image, target.image))
                with torch.no_grad():
                    tensor[position] -= sign * step
            slope = (values[0] - values[1]) / (2 * step)
            assert tensor.grad is not None
            assert float(tensor.grad[position]) == pytest.approx(factor * slope, rel=1e-4, abs=1e-9)


def test_encoders_get_no_gradient_at_the_start() -> None:
    loss, source, target = adversarial(), batch(1), batch(5)
    loss(source, target, 0.0)["align"].backward()
    assert source.image.grad is not None and not source.image.grad.any()
    assert all(p.grad is not None for p in loss.parameters())


@pytest.mark.parametrize(("modality", "unused"), [("image", "text"), ("text", "image")])
def test_one_modality_leaves_the_other_alone(modality: str, unused: str) -> None:
    loss, source, target = adversarial(modality), batch(1), batch(5)
    assert list(loss.discriminators) == [modality]
    loss(source, target, 1.0)["align"].backward()
    assert getattr(source, modality).grad is not None
    assert getattr(source, unused).grad is None

"""Gradient reversal and the domain loss against hand computations and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gckd.config.losses import Adversarial
from gckd.method.alignment import AdversarialLoss, StudentEmbeddings, reverse
from tests.method.cases import units

PROGRESS = 0.3
LAMBDA = 2 / (1 + math.exp(-10 * PROGRESS)) - 1


def test_reversal_by_hand() -> None:
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reverse(x, 0.7)
    assert torch.equal(y, x)
    (3 * y**2).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.tensor([-0.7 * 6, 0.7 * 12]))


def term(modality: str = "both") -> AdversarialLoss:
    torch.manual_seed(0)
    return AdversarialLoss(Adversarial(modality=modality, hidden=5), 4).double()


def batch(seed: int) -> StudentEmbeddings:
    return StudentEmbeddings(units(3, seed=seed).requires_grad_(), units(3, seed=seed + 1).requires_grad_())


def domain_loss(made: AdversarialLoss, name: str, source: Tensor, target: Tensor) -> float:
    """Mean of -log p(the true domain), layer by layer."""
    first, _, second, _, last = made.discriminators[name]  # type: ignore[misc]
    total = 0.0
    for x, is_target in [(x, False) for x in source] + [(x, True) for x in target]:
        h = (first.weight @ x + first.bias).clamp(min=0)
        h = (second.weight @ h + second.bias).clamp(min=0)
        p = 1 / (1 + math.exp(-float((last.weight[0] @ h + last.bias[0]).detach())))
        total -= math.log(p if is_target else 1 - p)
    return total / (len(source) + len(target))


def test_the_loss_by_hand() -> None:
    made, source, target = term(), batch(1), batch(5)
    wanted = [domain_loss(made, name, getattr(source, name), getattr(target, name)) for name in ("image", "text")]
    found = made(source, target, PROGRESS)
    assert list(found) == ["align"]
    assert float(found["align"]) == pytest.approx(sum(wanted) / 2)


def test_encoders_get_the_reversed_gradient_and_discriminators_their_own() -> None:
    made, source, target = term("image"), batch(1), batch(5)
    made(source, target, PROGRESS)["align"].backward()
    weight = made.discriminators["image"][0].weight  # type: ignore[index]
    step = 1e-6
    for tensor, factor in ((source.image, -LAMBDA), (target.image, -LAMBDA), (weight, 1.0)):
        for place in ((0, 0), (2, 3)):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    tensor[place] += sign * step
                values.append(domain_loss(made, "image", source.image, target.image))
                with torch.no_grad():
                    tensor[place] -= sign * step
            slope = (values[0] - values[1]) / (2 * step)
            assert tensor.grad is not None
            assert float(tensor.grad[place]) == pytest.approx(factor * slope, rel=1e-4, abs=1e-9)


def test_nothing_reaches_the_encoders_at_the_start() -> None:
    made, source, target = term(), batch(1), batch(5)
    made(source, target, 0.0)["align"].backward()
    assert source.image.grad is not None and not source.image.grad.any()
    assert all(p.grad is not None for p in made.parameters())


@pytest.mark.parametrize(("modality", "other"), [("image", "text"), ("text", "image")])
def test_of_one_modality(modality: str, other: str) -> None:
    made, source, target = term(modality), batch(1), batch(5)
    assert list(made.discriminators) == [modality]
    made(source, target, 1.0)["align"].backward()
    assert getattr(source, modality).grad is not None
    assert getattr(source, other).grad is None

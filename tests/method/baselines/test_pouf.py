"""POUF's loss against loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gckd.config.distill import TransportCost
from gckd.method.baselines.pouf import TransportLoss, mutual_information
from tests.method.cases import Case, units


def softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


def entropy(p: list[float]) -> float:
    return -sum(v * math.log(v) for v in p)


def by_loops(case: Case, weight: float) -> float:
    captions = [
        case.student_text[case.text_place.tolist().index(j)] if j in case.text_place.tolist() else case.texts[j]
        for j in range(len(case.texts))
    ]
    cosine = [[float(image @ caption) for caption in captions] for image in case.student_image]
    rows, tau = len(cosine), float(case.tau)
    p = [softmax([c / tau for c in row]) for row in cosine]
    forth = sum(p[i][j] * (1 - cosine[i][j]) for i in range(rows) for j in range(9)) / rows
    back = 0.0
    for j in range(9):
        q = softmax([cosine[i][j] / tau for i in range(rows)])
        back += sum(q[i] * (1 - cosine[i][j]) for i in range(rows)) / 9
    mean = [sum(p[i][j] for i in range(rows)) / rows for j in range(9)]
    return forth + back - weight * (entropy(mean) - sum(map(entropy, p)) / rows)


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_transport_by_loops(weight: float) -> None:
    case = Case()
    found = TransportLoss(TransportCost(information=weight))(*case.directions(), case.tau)
    assert list(found) == ["target_contrastive"]
    assert float(found["target_contrastive"]) == pytest.approx(by_loops(case, weight))


def test_both_encoders_learn_and_the_temperature_does_not() -> None:
    case = Case()
    TransportLoss(TransportCost())(*case.directions(), case.tau)["target_contrastive"].backward()
    for gradient in (case.student_image.grad, case.student_text.grad):
        assert gradient is not None and bool(gradient.abs().sum(1).gt(0).all())
    assert case.tau.grad is None
    assert torch.equal(case.texts, units(9, seed=2))  # the bank stays as it is


@pytest.mark.parametrize(("logits", "nats"), [(torch.zeros(4, 4), 0.0), (100 * torch.eye(4), math.log(4))])
def test_information_at_its_limits(logits: Tensor, nats: float) -> None:
    assert float(mutual_information(logits)) == pytest.approx(nats, abs=1e-6)


def test_it_has_no_targets() -> None:
    image, _ = Case().directions()
    assert not TransportLoss(TransportCost()).targets(image.side, 0.1).any()

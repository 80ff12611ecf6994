"""POUF's loss by loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gckd.config.distill import TransportCost
from gckd.graph.similarity import DirectSimilarity
from gckd.method.baselines.pouf import TransportLoss, mutual_information
from tests.method.cases import TargetBatchCase
from tests.tensors import units


def transport(information: float = 0.3) -> TransportLoss:
    return TransportLoss(TransportCost(information=information), DirectSimilarity())


def softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


def entropy(p: list[float]) -> float:
    return -sum(v * math.log(v) for v in p)


def by_loops(case: TargetBatchCase, information: float) -> float:
    positions = case.text_positions.tolist()
    captions = [
        case.student_text[positions.index(j)] if j in positions else case.texts[j] for j in range(len(case.texts))
    ]
    cosine = [[float(image @ caption) for caption in captions] for image in case.student_image]
    rows, tau = len(cosine), float(case.tau)
    p = [softmax([c / tau for c in row]) for row in cosine]
    to_captions = sum(p[i][j] * (1 - cosine[i][j]) for i in range(rows) for j in range(9)) / rows
    to_images = 0.0
    for j in range(9):
        q = softmax([cosine[i][j] / tau for i in range(rows)])
        to_images += sum(q[i] * (1 - cosine[i][j]) for i in range(rows)) / 9
    mean = [sum(p[i][j] for i in range(rows)) / rows for j in range(9)]
    return to_captions + to_images - information * (entropy(mean) - sum(map(entropy, p)) / rows)


@pytest.mark.parametrize("information", [0.0, 0.3])
def test_transport_loss_by_loops(information: float) -> None:
    case = TargetBatchCase()
    terms = transport(information)(*case.queries(), case.tau)
    assert list(terms) == ["target_contrastive"]
    assert float(terms["target_contrastive"].detach()) == pytest.approx(by_loops(case, information))


def test_both_encoders_get_a_gradient_and_tau_gets_none() -> None:
    case = TargetBatchCase()
    transport()(*case.queries(), case.tau)["target_contrastive"].backward()
    for gradient in (case.student_image.grad, case.student_text.grad):
        assert gradient is not None and bool(gradient.abs().sum(1).gt(0).all())
    assert case.tau.grad is None
    assert torch.equal(case.texts, units(9, seed=2))  # the bank is not changed


@pytest.mark.parametrize(("logits", "nats"), [(torch.zeros(4, 4), 0.0), (100 * torch.eye(4), math.log(4))])
def test_mutual_information_at_its_limits(logits: Tensor, nats: float) -> None:
    assert float(mutual_information(logits)) == pytest.approx(nats, abs=1e-6)

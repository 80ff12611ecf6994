"""Entropy minimisation by loops."""

from __future__ import annotations

import math

import pytest
import torch

from gckd.config.distill import EntropyMinimisation
from gckd.graph.similarity import BankPair, DirectSimilarity
from gckd.method.baselines.tent import EntropyLoss
from tests.method.cases import TargetBatchCase
from tests.tensors import units


def entropy_loss() -> EntropyLoss:
    return EntropyLoss(EntropyMinimisation(), DirectSimilarity())


def nearest(query: torch.Tensor, keys: torch.Tensor) -> int:
    return max(range(len(keys)), key=lambda j: float(query @ keys[j]))


def test_entropy_of_captions_with_a_mutual_neighbour_by_loops() -> None:
    case = TargetBatchCase()
    mutual = [
        i for i, text in enumerate(case.texts) if nearest(case.images[nearest(text, case.images)], case.texts) == i
    ]
    positions = case.text_positions.tolist()
    selected = [row for row, entry in enumerate(positions) if entry in mutual]
    assert 0 < len(selected) < len(positions)  # otherwise the test would not see the selection
    entropies = []
    for row in selected:
        values = [math.exp(float(case.student_text[row] @ image) / float(case.tau)) for image in case.images]
        entropies.append(-sum(v / sum(values) * math.log(v / sum(values)) for v in values))
    terms = entropy_loss()(*case.queries(), case.tau)
    assert list(terms) == ["target_contrastive"]
    assert float(terms["target_contrastive"]) == pytest.approx(sum(entropies) / len(entropies))
    terms["target_contrastive"].backward()
    assert case.student_text.grad is not None and case.tau.grad is None
    assert case.student_text.grad.abs().sum(1).nonzero().squeeze(1).tolist() == selected


def test_the_loss_is_0_without_a_mutual_neighbour() -> None:
    case = TargetBatchCase()
    case.images = -units(7, seed=1).abs()
    case.texts = units(9, seed=2).abs()
    case.images[5] = case.texts[0]  # the nearest image of every caption; it prefers a caption outside the batch
    case.banks = BankPair(case.images, case.texts)
    loss = entropy_loss()(*case.queries(), case.tau)["target_contrastive"]
    loss.backward()
    assert float(loss) == 0.0
    assert case.student_text.grad is not None and not case.student_text.grad.any()

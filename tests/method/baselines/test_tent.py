"""Entropy minimisation against loops."""

from __future__ import annotations

import math

import pytest
import torch

from gckd.method.baselines.tent import EntropyLoss
from tests.method.cases import Case, units


def best(query: torch.Tensor, keys: torch.Tensor) -> int:
    return max(range(len(keys)), key=lambda j: float(query @ keys[j]))


def test_entropy_of_consistent_captions_by_loops() -> None:
    case = Case()
    consistent = [i for i, text in enumerate(case.texts) if best(case.images[best(text, case.images)], case.texts) == i]
    place = case.text_place.tolist()
    chosen = [row for row, entry in enumerate(place) if entry in consistent]
    assert 0 < len(chosen) < len(place)  # of these banks, some and not all
    entropies = []
    for row in chosen:
        values = [math.exp(float(case.student_text[row] @ image) / float(case.tau)) for image in case.images]
        entropies.append(-sum(v / sum(values) * math.log(v / sum(values)) for v in values))
    found = EntropyLoss()(*case.directions(), case.tau)
    assert list(found) == ["target_contrastive"]
    assert float(found["target_contrastive"]) == pytest.approx(sum(entropies) / len(entropies))
    found["target_contrastive"].backward()
    assert case.student_text.grad is not None and case.tau.grad is None
    assert case.student_text.grad.abs().sum(1).nonzero().squeeze(1).tolist() == chosen


def test_without_a_consistent_caption_it_is_zero() -> None:
    case = Case()
    case.images = -units(7, seed=1).abs()
    case.texts = units(9, seed=2).abs()
    case.images[5] = case.texts[0]  # every caption's nearest image, which prefers a caption outside the batch
    fresh = Case()
    case.banks = type(fresh.banks)(case.images, case.texts)
    loss = EntropyLoss()(*case.directions(), case.tau)["target_contrastive"]
    loss.backward()
    assert float(loss) == 0.0
    assert case.student_text.grad is not None and not case.student_text.grad.any()

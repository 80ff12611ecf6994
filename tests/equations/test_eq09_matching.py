"""Eq. 9: cross-domain matching: pairs accepted by delta, source negatives, binary loss."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from gckd.config.distill import CrossDomainMatching, NoMatching
from gckd.method import matching
from gckd.method.banks import PerBank
from gckd.method.losses import matching_loss
from gckd.method.matching import CrossDomainMatchingLoss, NoMatchingLoss, TargetQueries, cross_domain_pairs
from gckd.models.base import Encoded
from tests.tensors import units

QUERIES = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
TARGET = torch.tensor([[0.6, 0.8], [0.8, 0.6]])
SOURCE = torch.tensor([[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])


def test_pairs_by_hand() -> None:
    """Cosines with the target: 0.6 / 0.8 for query 0, 0.8 / 0.6 for query 1, -0.6 / -0.8 for query 2."""
    pairs = cross_domain_pairs(QUERIES, TARGET, SOURCE, delta=0.7)
    assert pairs.accepted.tolist() == [0, 1]
    assert pairs.positive.tolist() == [1, 0]
    assert pairs.negative.tolist() == [1, 0]


@pytest.mark.parametrize(("delta", "accepted"), [(-1.0, [0, 1, 2]), (0.81, []), (1.0, [])])
def test_delta_limits_the_accepted_pairs(delta: float, accepted: list[int]) -> None:
    assert cross_domain_pairs(QUERIES, TARGET, SOURCE, delta=delta).accepted.tolist() == accepted


def test_delta_itself_is_not_accepted() -> None:
    assert len(cross_domain_pairs(QUERIES[:1], QUERIES[:1], SOURCE, delta=1.0).accepted) == 0


def test_pairs_by_loops() -> None:
    z = units(30)
    queries, target, source = z[:8], z[8:18], z[18:]
    pairs = cross_domain_pairs(queries, target, source, delta=0.5)
    expected = []
    for i, query in enumerate(queries):
        cosines = [float(query @ entry) for entry in target]
        if max(cosines) > 0.5:
            negatives = [float(query @ entry) for entry in source]
            expected.append((i, cosines.index(max(cosines)), negatives.index(max(negatives))))
    assert list(zip(*(indices.tolist() for indices in pairs), strict=True)) == expected
    assert 0 < len(expected) < 8


def test_random_negatives_are_any_source_entry_and_change_nothing_else() -> None:
    hard, drawn = cross_domain_pairs(QUERIES, TARGET, SOURCE, delta=0.7), set()
    for seed in range(40):
        torch.manual_seed(seed)
        pairs = cross_domain_pairs(QUERIES, TARGET, SOURCE, delta=0.7, negatives="random")
        assert torch.equal(pairs.accepted, hard.accepted) and torch.equal(pairs.positive, hard.positive)
        drawn |= set(pairs.negative.tolist())
    assert drawn == {0, 1, 2}


def test_matching_loss_by_hand() -> None:
    """-log p(match) of one true pair and -log p(no match) of two false ones, averaged over the three."""
    positive, negative = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    costs = [math.log(1 + math.exp(-1)), math.log(1 + math.exp(2)), math.log(1 + math.exp(-1))]
    assert float(matching_loss(positive, negative)) == pytest.approx(sum(costs) / 3)


class RecordingStudent:
    """Encodes a dataset row as its number and records the matched pairs; every logit is 0."""

    def __init__(self) -> None:
        self.pairs: list[tuple[int, int]] = []

    def encode_text(self, tokens: Tensor) -> Encoded:
        return Encoded(tokens.float(), torch.zeros(0))

    def encode_image(self, images: Tensor) -> Encoded:
        return Encoded((images.flatten(1)[:, :1] + 1) * 127.5, torch.zeros(0))

    def match(self, image_states: Tensor, text_states: Tensor, tokens: Tensor, images: Tensor | None = None) -> Tensor:
        image_states = image_states if images is None else image_states[images]
        assert tokens.flatten().tolist() == pytest.approx(text_states.flatten().tolist())
        pairs = zip(image_states.flatten().tolist(), text_states.flatten().tolist(), strict=True)
        self.pairs += [(round(image), round(text)) for image, text in pairs]
        return torch.zeros(len(tokens), 2)


def loss_and_student(delta: float) -> tuple[CrossDomainMatchingLoss, RecordingStudent]:
    """Banks of target captions 40 and 41, target images 50 and 51, source captions from 70, source images from 80."""
    student: Any = RecordingStudent()
    loader = SimpleNamespace(
        tokens_at=lambda rows: rows[:, None], images_at=lambda rows: rows.to(torch.uint8)[:, None, None, None]
    )
    feed: Any = SimpleNamespace(source=loader, target=loader)
    rows = {"target_text": (40, 2), "target_image": (50, 2), "source_text": (70, 3), "source_image": (80, 3)}
    banks: Any = SimpleNamespace(
        **{name: SimpleNamespace(rows=first + torch.arange(count)) for name, (first, count) in rows.items()}
    )
    return CrossDomainMatchingLoss(CrossDomainMatching(delta=delta), feed, student, banks), student


def batch() -> tuple[TargetQueries, PerBank]:
    """Images 0, 1, 2 and captions 3, 4, 5 with the embeddings QUERIES each; banks TARGET and SOURCE."""
    images, tokens = torch.arange(3)[:, None].float(), torch.arange(3, 6)[:, None]
    no_embedding = torch.zeros(0)
    encoded = Encoded(images, no_embedding), Encoded(tokens.float(), no_embedding)
    return TargetQueries(*encoded, tokens, QUERIES, QUERIES), PerBank(SOURCE, SOURCE, TARGET, TARGET)


@pytest.mark.parametrize("in_one_pass", [False, True])
def test_pairs_of_both_directions_are_matched(in_one_pass: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass is for GPUs, on which larger and fewer kernels are faster."""
    monkeypatch.setattr(matching, "joins_passes", lambda like: in_one_pass)
    loss, student = loss_and_student(0.7)
    assert float(loss(*batch())["target_matching"]) == pytest.approx(math.log(2))
    image_to_text = [(0, 41), (1, 40), (0, 71), (1, 70)]
    text_to_image = [(51, 3), (50, 4), (81, 3), (80, 4)]
    assert student.pairs == image_to_text + text_to_image


def test_the_loss_is_0_if_delta_accepts_no_pair() -> None:
    loss, student = loss_and_student(0.9)
    assert float(loss(*batch())["target_matching"]) == 0.0
    assert student.pairs == []


def test_no_matching_has_no_term() -> None:
    unused: Any = None
    assert NoMatchingLoss(NoMatching(), unused, unused, unused)(*batch()) == {}

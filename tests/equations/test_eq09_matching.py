"""Eq. 9: cross-domain matching: accepted pairs by delta, source negatives, binary loss."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.distill import CrossDomainMatching
from gckd.method.banks import PerBank
from gckd.method.losses import matching_loss
from gckd.method.matching import CrossDomainMatchingLoss, NoMatchingLoss, TargetQueries, cross_domain_pairs
from gckd.models.albef import Encoded

QUERIES = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
TARGET = torch.tensor([[0.6, 0.8], [0.8, 0.6]]), torch.tensor([40, 41])
SOURCE = torch.tensor([[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]]), torch.tensor([70, 71, 72])


def test_partners_by_hand() -> None:
    """Cosines with the target: 0.6 / 0.8 for query 0, 0.8 / 0.6 for query 1, -0.6 / -0.8 for query 2."""
    found = cross_domain_pairs(QUERIES, TARGET, SOURCE, CrossDomainMatching(delta=0.7))
    assert found.chosen.tolist() == [0, 1]
    assert found.positive.tolist() == [41, 40]
    assert found.negative.tolist() == [71, 70]


@pytest.mark.parametrize(("delta", "accepted"), [(-1.0, [0, 1, 2]), (0.81, []), (1.0, [])])
def test_delta_limits(delta: float, accepted: list[int]) -> None:
    assert cross_domain_pairs(QUERIES, TARGET, SOURCE, CrossDomainMatching(delta)).chosen.tolist() == accepted


def test_delta_accepts_above_not_at_it() -> None:
    exact = torch.tensor([[1.0, 0.0]]), torch.tensor([3])
    assert cross_domain_pairs(QUERIES[:1], exact, SOURCE, CrossDomainMatching(1.0)).chosen.tolist() == []


def test_partners_against_loops() -> None:
    z = F.normalize(torch.randn(30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=1)
    queries, target, source = z[:8], z[8:18], z[18:]
    found = cross_domain_pairs(
        queries, (target, torch.arange(100, 110)), (source, torch.arange(200, 212)), CrossDomainMatching(0.5)
    )
    wanted = []
    for i, q in enumerate(queries):
        cosines = [float(q @ t) for t in target]
        if max(cosines) > 0.5:
            negatives = [float(q @ s) for s in source]
            wanted.append((i, 100 + cosines.index(max(cosines)), 200 + negatives.index(max(negatives))))
    assert list(zip(*(part.tolist() for part in found), strict=True)) == wanted
    assert 0 < len(wanted) < 8


def test_random_negatives_are_any_of_the_source_and_nothing_else_changes() -> None:
    config = CrossDomainMatching(delta=0.7, negatives="random")
    hard, drawn = cross_domain_pairs(QUERIES, TARGET, SOURCE, CrossDomainMatching(delta=0.7)), set()
    for seed in range(40):
        torch.manual_seed(seed)
        found = cross_domain_pairs(QUERIES, TARGET, SOURCE, config)
        assert torch.equal(found.chosen, hard.chosen) and torch.equal(found.positive, hard.positive)
        drawn |= set(found.negative.tolist())
    assert drawn == {70, 71, 72}


def test_matching_loss_by_hand() -> None:
    """-log p(match) of one true pair and -log p(no match) of two false ones, averaged over the three."""
    positive, negative = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    costs = [math.log(1 + math.exp(-1)), math.log(1 + math.exp(2)), math.log(1 + math.exp(-1))]
    assert float(matching_loss(positive, negative)) == pytest.approx(sum(costs) / 3)


class FakeStudent:
    """Encodes a row number as itself, and notes which pairs were matched; every logit is 0."""

    def __init__(self) -> None:
        self.pairs: list[tuple[int, int]] = []

    def encode_text(self, tokens: Tensor) -> Encoded:
        return Encoded(tokens.float(), torch.zeros(0))

    def encode_image(self, images: Tensor) -> Encoded:
        return Encoded((images.flatten(1)[:, :1] + 1) * 127.5, torch.zeros(0))

    def match(self, image_states: Tensor, text_states: Tensor, tokens: Tensor) -> Tensor:
        assert tokens.flatten().tolist() == pytest.approx(text_states.flatten().tolist())
        pairs = zip(image_states.flatten().tolist(), text_states.flatten().tolist(), strict=True)
        self.pairs += [(round(i), round(t)) for i, t in pairs]
        return torch.zeros(len(tokens), 2)


def term(delta: float) -> tuple[CrossDomainMatchingLoss, FakeStudent]:
    student: Any = FakeStudent()
    loader = SimpleNamespace(
        tokens_at=lambda rows: rows[:, None], images_at=lambda rows: rows.to(torch.uint8)[:, None, None, None]
    )
    feed: Any = SimpleNamespace(source=loader, target=loader)
    rows = {"target_text": TARGET[1], "source_text": SOURCE[1]}
    rows |= {"target_image": TARGET[1] + 10, "source_image": SOURCE[1] + 10}
    banks: Any = SimpleNamespace(**{name: SimpleNamespace(rows=value) for name, value in rows.items()})
    return CrossDomainMatchingLoss(CrossDomainMatching(delta=delta), feed, student, banks), student


def batch() -> tuple[TargetQueries, PerBank]:
    """Images 0, 1, 2 and captions 3, 4, 5 with the embeddings QUERIES each; banks TARGET and SOURCE."""
    images, tokens = torch.arange(3)[:, None].float(), torch.arange(3, 6)[:, None]
    none = torch.zeros(0)
    queries = TargetQueries(Encoded(images, none), Encoded(tokens.float(), none), tokens, QUERIES, QUERIES)
    return queries, PerBank(SOURCE[0], SOURCE[0], TARGET[0], TARGET[0])


def test_the_term_matches_both_directions() -> None:
    matching, student = term(0.7)
    found = matching(*batch())["target_matching"]
    assert float(found) == pytest.approx(math.log(2))
    image_to_text = [(0, 41), (1, 40), (0, 71), (1, 70)]
    text_to_image = [(51, 3), (50, 4), (81, 3), (80, 4)]
    assert student.pairs == image_to_text + text_to_image


def test_the_term_is_0_where_delta_accepts_nothing() -> None:
    matching, student = term(0.9)
    assert float(matching(*batch())["target_matching"]) == 0.0
    assert student.pairs == []


def test_no_matching_has_no_term() -> None:
    assert NoMatchingLoss()(*batch()) == {}

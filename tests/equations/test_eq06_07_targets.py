"""Eq. 6-7: pseudo similarity targets; and the targets of the rows without a teacher."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.distill import SoftTargets
from gckd.graph.similarity import BankPair, DirectSimilarity, RetrievalDirection
from gckd.method.pseudo_labels import MutualNearestNeighbours, NoPseudoLabels, PseudoLabels, entropies

PLAIN = SoftTargets(sharpen=0.5, agree=False, confidence=0.0)


def units(count: int, width: int = 5, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def side(queries: Tensor, keys: Tensor, own: Tensor | None = None) -> RetrievalDirection:
    return RetrievalDirection(queries, torch.arange(len(queries)), BankPair(queries if own is None else own, keys))


def soft(queries: Tensor, keys: Tensor, tau: float, sharpen: float) -> Tensor:
    config = SoftTargets(sharpen=sharpen, agree=False, confidence=0.0)
    return PseudoLabels(config, DirectSimilarity())(side(queries, keys), tau)


def test_pseudo_similarity_by_hand() -> None:
    keys = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    found = soft(torch.tensor([[1.0, 0.0]]), keys, tau=0.4, sharpen=0.5)
    a, b = math.exp(1.0 / 0.2), math.exp(0.6 / 0.2)
    torch.testing.assert_close(found, torch.tensor([[a / (a + b), b / (a + b)]]))


def test_sharpen_1_is_the_equation_itself() -> None:
    z = units(9)
    torch.testing.assert_close(
        soft(z[:2], z, 0.1, 1.0), (10 * z[:2] @ z.T).exp() / (10 * z[:2] @ z.T).exp().sum(1, True)
    )


def test_sharpen_towards_0_is_one_hot() -> None:
    z = units(9)
    found = soft(z[:3], z[3:], 0.07, 1e-4)
    torch.testing.assert_close(found, F.one_hot((z[:3] @ z[3:].T).argmax(1), 6).float())
    assert float(entropies(found).max()) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("agree", [False, True])
def test_hard_targets_keep_the_largest(agree: bool) -> None:
    z = units(20)
    there = side(z[:6], z[6:])
    config = SoftTargets(agree=agree, confidence=0.0)
    soft_rows = PseudoLabels(config, DirectSimilarity())(there, 0.1).tolist()
    hard = PseudoLabels(dataclasses.replace(config, hard=True), DirectSimilarity())(there, 0.1)
    assert hard.tolist() == [[float(value == max(row)) for value in row] for row in soft_rows]


def test_tau_large_is_uniform() -> None:
    z = units(9)
    torch.testing.assert_close(soft(z[:3], z, 1e6, 1.0), torch.full((3, 9), 1 / 9))


def test_agreement_against_loops() -> None:
    """p(key | query) p(query | key), where the whole bank of the queries' modality competes for a key."""
    own, keys, t = units(7, seed=1).double(), units(4, seed=2).double(), 0.1
    config = SoftTargets(sharpen=0.5, agree=True, confidence=0.0)
    found = PseudoLabels(config, DirectSimilarity())(side(own[:2], keys, own), t / 0.5)
    for i in range(2):
        products = []
        for j in range(len(keys)):
            score = math.exp(float(own[i] @ keys[j]) / t)
            over_keys = sum(math.exp(float(own[i] @ key) / t) for key in keys)
            over_own = sum(math.exp(float(rival @ keys[j]) / t) for rival in own)
            products.append(score / over_keys * score / over_own)
        assert found[i].tolist() == pytest.approx([p / sum(products) for p in products])


def test_agreement_is_between_the_directions_alone() -> None:
    """Where every key has the same rivals, the second direction says nothing but the first once more."""
    own = torch.eye(3)
    keys = torch.eye(3)
    both = PseudoLabels(SoftTargets(sharpen=1.0, agree=True, confidence=0.0), DirectSimilarity())(side(own, keys), 0.5)
    torch.testing.assert_close(both, soft(own, keys, 0.5, 0.5))


def test_confidence_weighs_rows_and_keeps_their_mean() -> None:
    queries, keys = units(6, seed=3), units(8, seed=4)
    alike = PseudoLabels(PLAIN, DirectSimilarity())(side(queries, keys), 0.3)
    config = SoftTargets(sharpen=0.5, agree=False, confidence=0.7)
    weighed = PseudoLabels(config, DirectSimilarity())(side(queries, keys), 0.3)
    weights = [math.exp(-0.7 * float(torch.special.entr(row).sum())) for row in alike]
    mean = sum(weights) / len(weights)
    torch.testing.assert_close(weighed.sum(1), torch.tensor([w / mean for w in weights]))
    torch.testing.assert_close(F.normalize(weighed, p=1, dim=1), alike)


def test_a_cold_temperature_gives_no_nan() -> None:
    """Opposite vectors at t = 0.005: probabilities below what a float holds, in both directions."""
    own, keys = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[-1.0, 0.0], [0.0, -1.0]])
    found = PseudoLabels(SoftTargets(sharpen=0.5, agree=True, confidence=0.5), DirectSimilarity())(
        side(own, keys), 0.01
    )
    assert bool(torch.isfinite(found).all())


def test_entropies_by_hand() -> None:
    rows = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert entropies(rows).tolist() == pytest.approx([math.log(2), 0.0, 0.0])


def test_mutual_nearest_by_hand() -> None:
    """Query 0 and key 0 choose each other; query 1 chooses key 0 too, which prefers query 0: a row of zeros."""
    own_bank = F.normalize(torch.tensor([[1.0, 0.1], [1.0, 0.5], [0.0, 1.0]]), dim=1)
    keys = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    found = MutualNearestNeighbours(DirectSimilarity())(
        RetrievalDirection(own_bank[:2], torch.tensor([0, 1]), BankPair(own_bank, keys)), 0.07
    )
    assert found.tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_mutual_nearest_against_loops() -> None:
    z = units(40, 4, seed=4).double()
    bank, keys, own = z[:25], z[25:], torch.tensor([24, 3, 7, 0])
    found = MutualNearestNeighbours(DirectSimilarity())(RetrievalDirection(bank[own], own, BankPair(bank, keys)), 0.07)
    for row, query in enumerate(own.tolist()):
        best = max(range(len(keys)), key=lambda j: float(bank[query] @ keys[j]))
        chosen_back = max(range(len(bank)), key=lambda i: float(bank[i] @ keys[best])) == query
        assert found[row].tolist() == [float(chosen_back and j == best) for j in range(len(keys))]


def test_nothing_is_taught_without_targets() -> None:
    z = torch.eye(3)
    assert NoPseudoLabels()(side(z[:2], z, z), 0.07).tolist() == [[0.0] * 3] * 2

"""Eq. 6-7: pseudo similarity targets; and the targets of the rows without a teacher."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from gckd.config.schema import SoftTargets
from gckd.distill.targets import MutualNearest, NoTarget, PseudoSimilarity, entropy

NONE = torch.zeros(0)


def soft(queries: torch.Tensor, keys: torch.Tensor, tau: float, sharpen: float) -> torch.Tensor:
    return PseudoSimilarity(SoftTargets(sharpen=sharpen))(queries, keys, NONE, NONE, tau)


def test_pseudo_similarity_by_hand() -> None:
    keys = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    found = soft(torch.tensor([[1.0, 0.0]]), keys, tau=0.4, sharpen=0.5)
    a, b = math.exp(1.0 / 0.2), math.exp(0.6 / 0.2)
    torch.testing.assert_close(found, torch.tensor([[a / (a + b), b / (a + b)]]))


def test_sharpen_1_is_the_equation_itself() -> None:
    z = F.normalize(torch.randn(9, 5, generator=torch.Generator().manual_seed(0)), dim=1)
    torch.testing.assert_close(
        soft(z[:2], z, 0.1, 1.0), (10 * z[:2] @ z.T).exp() / (10 * z[:2] @ z.T).exp().sum(1, True)
    )


def test_sharpen_towards_0_is_one_hot() -> None:
    z = F.normalize(torch.randn(9, 5, generator=torch.Generator().manual_seed(0)), dim=1)
    found = soft(z[:3], z[3:], 0.07, 1e-4)
    torch.testing.assert_close(found, F.one_hot((z[:3] @ z[3:].T).argmax(1), 6).float())
    assert float(entropy(found)) == pytest.approx(0.0, abs=1e-5)


def test_tau_large_is_uniform() -> None:
    z = F.normalize(torch.randn(9, 5, generator=torch.Generator().manual_seed(0)), dim=1)
    torch.testing.assert_close(soft(z[:3], z, 1e6, 1.0), torch.full((3, 9), 1 / 9))


def test_entropy_by_hand() -> None:
    rows = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert float(entropy(rows)) == pytest.approx(math.log(2) / 3)


def test_mutual_nearest_by_hand() -> None:
    """Query 0 and key 0 choose each other; query 1 chooses key 0 too, which prefers query 0: a row of zeros."""
    own_bank = F.normalize(torch.tensor([[1.0, 0.1], [1.0, 0.5], [0.0, 1.0]]), dim=1)
    keys = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    found = MutualNearest()(own_bank[:2], keys, own_bank, torch.tensor([0, 1]), 0.07)
    assert found.tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_mutual_nearest_against_loops() -> None:
    z = F.normalize(torch.randn(40, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64), dim=1)
    bank, keys, own = z[:25], z[25:], torch.tensor([24, 3, 7, 0])
    found = MutualNearest()(bank[own], keys, bank, own, 0.07)
    for row, query in enumerate(own.tolist()):
        best = max(range(len(keys)), key=lambda j: float(bank[query] @ keys[j]))
        chosen_back = max(range(len(bank)), key=lambda i: float(bank[i] @ keys[best])) == query
        assert found[row].tolist() == [float(chosen_back and j == best) for j in range(len(keys))]


def test_nothing_is_taught_without_targets() -> None:
    z = torch.eye(3)
    assert NoTarget()(z[:2], z, z, torch.tensor([0, 1]), 0.07).tolist() == [[0.0] * 3] * 2

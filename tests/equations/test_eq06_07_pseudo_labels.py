"""Eq. 6-7: pseudo labels of the teacher, and the labels without a teacher."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.distill import SoftTargets
from gckd.graph.similarity import BankPair, DirectSimilarity, RetrievalDirection
from gckd.method.pseudo_labels import (
    TARGETS,
    MutualNearestNeighbours,
    NoPseudoLabels,
    PseudoLabelLoss,
    PseudoLabels,
    StudentQueries,
    entropies,
)
from tests.tensors import units


def direction(queries: Tensor, keys: Tensor, own_bank: Tensor | None = None) -> RetrievalDirection:
    """Retrieval of keys by the first entries of their own bank."""
    bank = queries if own_bank is None else own_bank
    return RetrievalDirection(queries, torch.arange(len(queries)), BankPair(bank, keys))


def test_by_hand() -> None:
    keys = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    labels = PseudoLabels()(torch.tensor([[1.0, 0.0]]), keys, tau=0.2)
    a, b = math.exp(1.0 / 0.2), math.exp(0.6 / 0.2)
    torch.testing.assert_close(labels, torch.tensor([[a / (a + b), b / (a + b)]]))


def test_defaults_are_the_equation() -> None:
    z = units(9)
    scores = (10 * z[:2] @ z.T).exp()
    torch.testing.assert_close(PseudoLabels()(z[:2], z, tau=0.1), scores / scores.sum(1, keepdim=True))


def test_a_config_node_sets_every_option() -> None:
    node = SoftTargets(sharpen=0.25, agree=True, confidence=0.75, hard=True)
    labeller = TARGETS.build(node, DirectSimilarity()).labeller
    assert isinstance(labeller, PseudoLabels)
    assert (labeller.sharpen, labeller.agree, labeller.confidence, labeller.hard) == (0.25, True, 0.75, True)


def test_sharpen_scales_the_temperature() -> None:
    z = units(9)
    torch.testing.assert_close(PseudoLabels(sharpen=0.5)(z[:2], z, tau=0.4), PseudoLabels()(z[:2], z, tau=0.2))


def test_sharpen_near_0_is_one_hot() -> None:
    z = units(9)
    labels = PseudoLabels(sharpen=1e-4)(z[:3], z[3:])
    torch.testing.assert_close(labels, F.one_hot((z[:3] @ z[3:].T).argmax(1), 6).double())
    assert float(entropies(labels).max()) == pytest.approx(0.0, abs=1e-5)


def test_a_high_temperature_is_uniform() -> None:
    z = units(9)
    torch.testing.assert_close(PseudoLabels()(z[:3], z, tau=1e9), torch.full((3, 9), 1 / 9, dtype=torch.float64))


@pytest.mark.parametrize("agree", [False, True])
def test_hard_labels_are_one_hot_at_the_largest(agree: bool) -> None:
    z = units(20)
    soft = PseudoLabels(agree=agree)(z[:6], z[6:], tau=0.1).tolist()
    hard = PseudoLabels(agree=agree, hard=True)(z[:6], z[6:], tau=0.1)
    assert hard.tolist() == [[float(value == max(row)) for value in row] for row in soft]


def test_agreement_by_loops() -> None:
    """p(key | query) p(query | key), where the whole bank of the queries' modality competes for a key."""
    bank, keys, tau = units(7, seed=1), units(4, seed=2), 0.1
    labels = PseudoLabels(agree=True).labels(direction(bank[:2], keys, bank), tau)
    for i in range(2):
        products = []
        for j in range(len(keys)):
            score = math.exp(float(bank[i] @ keys[j]) / tau)
            over_keys = sum(math.exp(float(bank[i] @ key) / tau) for key in keys)
            over_queries = sum(math.exp(float(rival @ keys[j]) / tau) for rival in bank)
            products.append(score / over_keys * score / over_queries)
        assert labels[i].tolist() == pytest.approx([product / sum(products) for product in products])


def test_agreement_of_equal_directions_squares_the_distribution() -> None:
    """If every key has the same rivals, p(query | key) equals p(key | query), so tau is halved."""
    z = torch.eye(3)
    torch.testing.assert_close(PseudoLabels(agree=True)(z, z, tau=0.5), PseudoLabels()(z, z, tau=0.25))


def test_confidence_weighs_rows_and_keeps_their_mean() -> None:
    queries, keys = units(6, seed=3), units(8, seed=4)
    equal = PseudoLabels()(queries, keys, tau=0.15)
    weighted = PseudoLabels(confidence=0.7)(queries, keys, tau=0.15)
    weights = [math.exp(-0.7 * float(torch.special.entr(row).sum())) for row in equal]
    mean = sum(weights) / len(weights)
    torch.testing.assert_close(
        weighted.sum(1), torch.tensor([weight / mean for weight in weights], dtype=torch.float64)
    )
    torch.testing.assert_close(F.normalize(weighted, p=1, dim=1), equal)


def test_a_low_temperature_gives_no_nan() -> None:
    """Opposite vectors at temperature 0.005: both directions underflow."""
    queries, keys = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[-1.0, 0.0], [0.0, -1.0]])
    assert bool(torch.isfinite(PseudoLabels(agree=True, confidence=0.5)(queries, keys, tau=0.005)).all())


def test_entropies_by_hand() -> None:
    rows = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert entropies(rows).tolist() == pytest.approx([math.log(2), 0.0, 0.0])


def test_mutual_nearest_neighbours_by_hand() -> None:
    """Query 0 and key 0 choose each other; query 1 chooses key 0 too, which prefers query 0: a row of zeros."""
    bank = F.normalize(torch.tensor([[1.0, 0.1], [1.0, 0.5], [0.0, 1.0]]), dim=1)
    keys = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    labels = MutualNearestNeighbours(DirectSimilarity()).labels(direction(bank[:2], keys, bank), 0.07)
    assert labels.tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_the_loss_is_the_mean_of_both_directions_by_loops() -> None:
    """L = (H(s_i2t, p_i2t) + H(s_t2i, p_t2i)) / 2, H the mean over queries of -sum_j s_j log p_j."""
    images, texts, students = units(5, 4, seed=1), units(6, 4, seed=2), units(4, 4, seed=3)
    pair, tau = BankPair(images, texts), torch.tensor(0.2, dtype=torch.float64)
    to_texts = RetrievalDirection(images[:2], torch.arange(2), pair)
    to_images = RetrievalDirection(texts[:2], torch.arange(2), pair.reversed())
    queries = StudentQueries(students[:2], to_texts), StudentQueries(students[2:], to_images)
    expected = 0.0
    for student, teacher, keys in ((students[:2], images[:2], texts), (students[2:], texts[:2], images)):
        for query, label in zip(student, teacher, strict=True):
            logits = [float(query @ key) / 0.2 for key in keys]
            labels = [math.exp(float(label @ key) / 0.2) for key in keys]
            total = math.log(sum(map(math.exp, logits)))
            entropy = sum(s * (total - x) for s, x in zip(labels, logits, strict=True)) / sum(labels)
            expected += entropy / 2 / 2
    loss = PseudoLabelLoss(PseudoLabels())(*queries, tau)["target_contrastive"]
    assert float(loss) == pytest.approx(expected, rel=1e-6)


def test_mutual_nearest_neighbours_by_loops() -> None:
    z = units(40, seed=4)
    bank, keys, positions = z[:25], z[25:], torch.tensor([24, 3, 7, 0])
    queries = RetrievalDirection(bank[positions], positions, BankPair(bank, keys))
    labels = MutualNearestNeighbours(DirectSimilarity()).labels(queries, 0.07)
    for row, query in enumerate(positions.tolist()):
        nearest_key = max(range(len(keys)), key=lambda j: float(bank[query] @ keys[j]))
        mutual = max(range(len(bank)), key=lambda i: float(bank[i] @ keys[nearest_key])) == query
        assert labels[row].tolist() == [float(mutual and j == nearest_key) for j in range(len(keys))]


def test_no_pseudo_labels_are_rows_of_zeros() -> None:
    z = torch.eye(3)
    assert NoPseudoLabels().labels(direction(z[:2], z, z), 0.07).tolist() == [[0.0] * 3] * 2

"""Metric losses on the source, by loops over pairs and triplets."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.losses import MultiSimilarity, Triplet
from gckd.method.alignment import StudentEmbeddings
from gckd.method.metric_loss import METRIC_LOSSES

IDENTITIES = torch.tensor([7, 8, 7, 9, 8])
Loss = Callable[[Tensor, Tensor, bool], float]


def batch() -> StudentEmbeddings:
    random = torch.Generator().manual_seed(3)
    image, text = (F.normalize(torch.randn(5, 3, generator=random, dtype=torch.float64), dim=1) for _ in "it")
    return StudentEmbeddings(image.requires_grad_(), text.requires_grad_())


def positives(anchor: int, within: bool) -> list[int]:
    """Examples of the same identity; within a modality, without the anchor itself."""
    return [j for j in range(5) if IDENTITIES[j] == IDENTITIES[anchor] and not (within and j == anchor)]


def negatives(anchor: int) -> list[int]:
    return [j for j in range(5) if IDENTITIES[j] != IDENTITIES[anchor]]


def triplets(anchors: Tensor, references: Tensor, within: bool) -> float:
    violations = [
        float((anchors[i] - references[p]).norm() - (anchors[i] - references[n]).norm()) + 0.3
        for i in range(5)
        for p in positives(i, within)
        for n in negatives(i)
    ]
    above = [v for v in violations if v > 0]
    return sum(above) / len(above)


def multi_similarity(anchors: Tensor, references: Tensor, within: bool) -> float:
    total, alpha, beta, base = 0.0, 3.0, 20.0, 0.4
    for i in range(5):
        near = sum(math.exp(-alpha * (float(anchors[i] @ references[p]) - base)) for p in positives(i, within))
        far = sum(math.exp(beta * (float(anchors[i] @ references[n]) - base)) for n in negatives(i))
        total += math.log1p(near) / alpha + math.log1p(far) / beta
    return total / 5


@pytest.mark.parametrize(
    ("config", "loss"),
    [(Triplet(margin=0.3), triplets), (MultiSimilarity(alpha=3.0, beta=20.0, base=0.4), multi_similarity)],
    ids=["triplet", "multi-similarity"],
)
def test_within_and_across_modalities_by_loops(config: Triplet | MultiSimilarity, loss: Loss) -> None:
    source = batch()
    expected = [loss(a, b, a is b) for a in source for b in source]
    terms = METRIC_LOSSES.build(config)(source, IDENTITIES)
    assert list(terms) == ["source_metric"]
    assert float(terms["source_metric"]) == pytest.approx(sum(expected) / 4)
    terms["source_metric"].backward()
    assert all(z.grad is not None and bool(z.grad.any()) for z in source)


@pytest.mark.parametrize("config", [Triplet(), MultiSimilarity()], ids=["triplet", "multi-similarity"])
def test_a_batch_with_one_identity_has_a_finite_loss(config: Triplet | MultiSimilarity) -> None:
    loss = METRIC_LOSSES.build(config)(batch(), torch.full((5,), 7))["source_metric"]
    loss.backward()
    assert bool(torch.isfinite(loss))

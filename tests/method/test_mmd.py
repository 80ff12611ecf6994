"""MMD by its definition, pair by pair."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gckd.config.losses import Mmd
from gckd.method.alignment import MmdLoss, StudentEmbeddings, mmd2
from tests.tensors import units


def by_pairs(x: NDArray[np.float64], y: NDArray[np.float64], kernels: int) -> float:
    """Gretton et al., eq. 3, for equal weights of Gaussian kernels around the median of squared distances."""
    pooled = np.concatenate((x, y))
    distances = sorted(float(((a - b) ** 2).sum()) for a, b in itertools.combinations(pooled, 2))
    median = distances[(len(distances) - 1) // 2]

    def k(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        square = float(((a - b) ** 2).sum())
        widths = [median * 2.0 ** (i - kernels // 2) for i in range(kernels)]
        return float(np.mean([np.exp(-square / width) for width in widths]))

    def within(z: NDArray[np.float64]) -> float:
        return float(np.mean([k(a, b) for a, b in itertools.permutations(z, 2)]))

    return within(x) + within(y) - 2 * float(np.mean([k(a, b) for a in x for b in y]))


@pytest.mark.parametrize("kernels", [1, 4, 5])
def test_mmd_by_pairs(kernels: int) -> None:
    x, y = units(5, seed=1), units(7, seed=2)
    assert float(mmd2(x, y, kernels)) == pytest.approx(by_pairs(x.numpy(), y.numpy(), kernels))


def test_the_estimate_is_unbiased() -> None:
    """The mean is 0 for samples of one distribution; the biased estimate of eight points would be near 0.1."""
    estimates = [float(mmd2(*units(16, seed=seed).split(8), 5)) for seed in range(400)]
    assert abs(np.mean(estimates)) < 3 * np.std(estimates) / 20


def test_gradient_descent_moves_the_domains_together() -> None:
    x, y = units(6, seed=1).requires_grad_(), units(6, seed=2) + 1
    before = mmd2(x, y, 5)
    before.backward()
    assert x.grad is not None
    assert float(mmd2(x.detach() - 0.1 * x.grad, y, 5)) < float(before)


def test_identical_points_give_no_nan() -> None:
    x = torch.ones(3, 2, requires_grad=True)
    loss = mmd2(x, torch.ones(3, 2), 5)
    loss.backward()
    assert float(loss) == pytest.approx(0.0, abs=1e-6)
    assert x.grad is not None and bool(torch.isfinite(x.grad).all())


def test_the_loss_is_the_mean_over_modalities() -> None:
    source = StudentEmbeddings(units(4, seed=1), units(4, seed=2))
    target = StudentEmbeddings(units(4, seed=3), units(4, seed=4))
    terms = MmdLoss(Mmd(kernels=3), 4)(source, target, 0.5)
    image, text = mmd2(source.image, target.image, 3), mmd2(source.text, target.text, 3)
    assert list(terms) == ["align"]
    torch.testing.assert_close(terms["align"], (image + text) / 2)

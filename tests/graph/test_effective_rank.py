"""The effective rank against numpy's singular values, and where it is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gckd.graph.statistics import effective_rank


@pytest.mark.parametrize("shape", [(30, 5), (5, 30)])
def test_against_numpy(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    shares = np.linalg.svd(x, compute_uv=False)
    shares /= shares.sum()
    assert effective_rank(torch.from_numpy(x)) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))


def test_known_ranks() -> None:
    assert effective_rank(torch.eye(6)) == pytest.approx(6)
    assert effective_rank(torch.ones(9, 4)) == pytest.approx(1, abs=1e-6)
    assert effective_rank(torch.zeros(9, 4)) == pytest.approx(1)

"""Determinism on the CPU: the number of threads does not change the results."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from gckd.device import on_device


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def gradient(values: Tensor, index: Tensor) -> Tensor:
    """Of sum_i <v_i, w_i> at w, where w_i is row index_i of it."""
    w = torch.zeros(3, values.shape[1], requires_grad=True)
    (w[index] * values).sum().backward()
    assert w.grad is not None
    return w.grad


def test_gradients_of_repeated_rows_are_summed_in_a_fixed_order(threads: None) -> None:
    random = torch.Generator().manual_seed(0)
    values, index = torch.randn(4000, 64, generator=random), torch.randint(3, (4000,), generator=random)
    with on_device("cpu"):
        result = [gradient(values, index) for _ in range(30)]
    assert all(torch.equal(each, result[0]) for each in result)
    expected = torch.stack([values[index == row].double().sum(0) for row in range(3)])
    torch.testing.assert_close(result[0].double(), expected, rtol=0.0, atol=1e-3)


@pytest.mark.parametrize("before", [False, True])
def test_previous_settings_are_restored(before: bool) -> None:
    torch.use_deterministic_algorithms(before)
    try:
        with on_device("cpu"):
            assert torch.are_deterministic_algorithms_enabled()
        assert torch.are_deterministic_algorithms_enabled() is before
        assert torch.utils.deterministic.fill_uninitialized_memory
    finally:
        torch.use_deterministic_algorithms(False)

"""Tensors with shapes only: results of operators whose shape depends on values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from gckd.pretended_cuda.device import pretended_cuda
from tests.pretended_cuda.marks import needs_pretended_cuda

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_pretended_cuda


@pytest.fixture(autouse=True)
def device() -> Iterator[None]:
    with pretended_cuda(values=False):
        yield


def test_a_tensor_larger_than_any_memory_needs_none() -> None:
    big = torch.empty(2**30, 2**20, device="cuda")
    assert (big @ big.T).shape == (2**30, 2**30)
    assert (big + 1).device.type == "cuda"


def test_a_selection_has_every_element() -> None:
    mask = torch.zeros(3, 4, device="cuda") > 0
    values = torch.rand(3, 4, 5, device="cuda")
    assert mask.nonzero().shape == (12, 2)
    assert values[mask].shape == (12, 5)
    assert values[:, mask[0]].shape == (3, 4, 5)
    assert torch.masked_select(values[..., 0], mask).shape == (12,)
    assert torch.unique(torch.ones(7, device="cuda")).shape == (7,)
    assert torch.bincount(torch.ones(7, dtype=torch.long, device="cuda")).shape == (7,)


def test_the_cpu_reads_ones() -> None:
    numbers = torch.zeros(2, device="cuda")
    assert float(numbers[0]) == 1
    assert bool(torch.isfinite(numbers).all())
    assert numbers.cpu().tolist() == [1, 1]
    assert torch.zeros(2).copy_(numbers).tolist() == [1, 1]


def test_a_backward_pass_gives_gradients_of_the_right_shapes() -> None:
    layer = torch.nn.Linear(3, 2, device="cuda")
    inputs = torch.randn(5, 3, device="cuda", requires_grad=True)
    layer(inputs).square().sum().backward()
    assert (layer.weight.grad.shape, layer.bias.grad.shape, inputs.grad.shape) == ((2, 3), (2,), (5, 3))


def test_random_numbers_and_cpu_indices_are_accepted() -> None:
    random = torch.Generator("cuda").manual_seed(0)
    values = torch.rand(4, 3, device="cuda", generator=random)
    assert values[torch.tensor([0, 2], device="cpu")].shape == (2, 3)
    assert torch.multinomial(values, 2, generator=random).shape == (4, 2)

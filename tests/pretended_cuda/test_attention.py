"""Fused attention of the pretended device equals torch's attention on the CPU."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.pretended_cuda.device import pretended_cuda
from tests.pretended_cuda.marks import needs_pretended_cuda

pytestmark = needs_pretended_cuda
LENGTHS = (4, 5, 5)  # of queries, keys and values


def inputs() -> tuple[list[Tensor], Tensor]:
    random = torch.Generator().manual_seed(0)
    states = [torch.randn(2, 3, length, 8, generator=random) for length in LENGTHS]
    return states, torch.randn(2, 3, 4, 8, generator=random)


def attended(states: list[Tensor], gradient: Tensor, mask: Tensor | None, rate: float = 0.0) -> list[Tensor]:
    """Output of attention, and gradients of queries, keys and values."""
    leaves = [x.clone().requires_grad_() for x in states]
    output = F.scaled_dot_product_attention(*leaves, attn_mask=mask, dropout_p=rate)
    return [output.detach(), *torch.autograd.grad(output, leaves, gradient)]


@pytest.mark.parametrize("masked", [False, True])
def test_output_and_gradients(masked: bool) -> None:
    states, gradient = inputs()
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()[:, None, None] if masked else None
    expected = attended(states, gradient, mask)
    with pretended_cuda():
        on_gpu = [x.to("cuda") for x in states]
        result = attended(on_gpu, gradient.to("cuda"), None if mask is None else mask.to("cuda"))
        result = [tensor.cpu() for tensor in result]
    for seen, value in zip(result, expected, strict=True):
        torch.testing.assert_close(seen, value, atol=1e-5, rtol=1e-4)


def test_dropout_drops_the_same_weights_in_the_backward_pass() -> None:
    """The output is linear in the values, so that <gradient, output> = <gradient of the values, values>."""
    states, gradient = inputs()
    with pretended_cuda():
        on_gpu = [x.to("cuda") for x in states]
        output, _, _, of_values = attended(on_gpu, gradient.to("cuda"), None, rate=0.5)
        plain = attended(on_gpu, gradient.to("cuda"), None)[0]
        product, expected = (of_values * on_gpu[2]).sum(), (output * gradient.to("cuda")).sum()
        assert float(product) == pytest.approx(float(expected), rel=1e-4)
        assert not bool(torch.allclose(output, plain))

"""CUDA's fused attention with any mask, computed by its formula on the CPU: one operator forward, one backward."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.pretended_cuda.call import on_cuda

_ATEN = torch.ops.aten
_ROW_STEP = 16  # elements; other rows of a mask are copied
_on_cpu = F.scaled_dot_product_attention


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Stands in for `scaled_dot_product_attention`, which would choose the formula for tensors of this device."""
    if not on_cuda(query):
        return _on_cpu(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
    if torch.is_autocast_enabled("cuda"):
        query, key, value = (x.to(torch.get_autocast_dtype("cuda")) for x in (query, key, value))
    bias = None if attn_mask is None else _bias(attn_mask, query).expand(*query.shape[:3], key.shape[2])
    needs_log_sum = any(x.requires_grad for x in (query, key, value))
    kernel = _ATEN._scaled_dot_product_efficient_attention
    output: Tensor = kernel(query, key, value, bias, needs_log_sum, dropout_p, is_causal, scale=scale)[0]
    return output


def _bias(mask: Tensor, query: Tensor) -> Tensor:
    """The mask as CUDA's kernel reads it: numbers of the type of the query, in rows that begin at multiples of 16."""
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(mask.logical_not(), -math.inf)
    mask = mask.to(query.dtype)
    if all(stride % _ROW_STEP == 0 for stride in mask.stride()[:-1]):
        return mask
    length = mask.shape[-1]
    return F.pad(mask, (0, -length % _ROW_STEP))[..., :length]


class Weights(NamedTuple):
    """Attention of n queries to m keys, [..., n, m], in float32."""

    softmax: Tensor
    dropout: Tensor  # 0 where dropout drops a weight, otherwise 1 / (1 - rate)
    log_sum: Tensor  # [..., n] log of the sum that the softmax divides by


def _weights(
    query: Tensor, key: Tensor, bias: Tensor | None, rate: float, causal: bool, scale: float, seed: Tensor
) -> Weights:
    scores = query.float() @ key.float().transpose(-2, -1) * scale
    if bias is not None:
        scores = scores + bias.float()
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -math.inf)
    dropout = torch.ones_like(scores)
    if rate:
        draw = torch.rand(scores.shape, generator=torch.Generator("cpu").manual_seed(int(seed)))
        dropout = (draw >= rate).float() / (1 - rate)
    log_sum = scores.logsumexp(-1)
    return Weights((scores - log_sum[..., None]).exp(), dropout, log_sum)


def _forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    compute_log_sum: bool,
    rate: float = 0.0,
    causal: bool = False,
    *,
    scale: float | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    seed = torch.randint(2**62, ()) if rate else torch.zeros((), dtype=torch.long)
    weights = _weights(query, key, bias, rate, causal, scale or query.shape[-1] ** -0.5, seed)
    output = (weights.softmax * weights.dropout @ value.float()).to(query.dtype)
    # CUDA stores the heads of a token next to each other.
    return output.transpose(1, 2).contiguous().transpose(1, 2), weights.log_sum, seed, torch.zeros_like(seed)


def _backward(
    gradient: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    output: Tensor,
    log_sum: Tensor,
    seed: Tensor,
    offset: Tensor,
    rate: float,
    needed: list[bool],
    causal: bool = False,
    *,
    scale: float | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    scale = scale or query.shape[-1] ** -0.5
    weights = _weights(query, key, bias, rate, causal, scale, seed)
    softmax, incoming = weights.softmax, gradient.float()
    of_values = (softmax * weights.dropout).transpose(-2, -1) @ incoming
    of_softmax = (incoming @ value.float().transpose(-2, -1)) * weights.dropout
    of_scores = softmax * (of_softmax - (of_softmax * softmax).sum(-1, keepdim=True))
    of_query, of_key = of_scores @ key.float() * scale, of_scores.transpose(-2, -1) @ query.float() * scale
    gradients = (of_query, of_key, of_values)
    of_query, of_key, of_values = (g.to(query.dtype).transpose(1, 2).contiguous().transpose(1, 2) for g in gradients)
    return of_query, of_key, of_values, torch.zeros(0)  # no bias of this project has a gradient


FUSED_ATTENTION: dict[Any, Callable[..., tuple[Tensor, ...]]] = {
    _ATEN._scaled_dot_product_efficient_attention.default: _forward,
    _ATEN._scaled_dot_product_efficient_attention_backward.default: _backward,
}

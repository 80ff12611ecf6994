"""Partition functions and entropies of the softmax between all entries of two banks, without an M x N matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from gckd.distributed import gather, local_rows, world_size

# Similarities of two banks that exist at a time: on a CPU they stay in its cache, a GPU needs large kernels.
CPU_BLOCK, GPU_BLOCK = 2**19, 2**25
SMALLEST_T = 0.025  # above it, exp((cosine - 1) / t) is a normal float32 number for every cosine


def log_partitions(queries: Tensor, keys: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """log sum exp(query_i . key_j / t) over i, [N], and over j, [M], of unit vectors [M, d] and [N, d]."""
    return _shifted_log_partitions(queries, keys, t) if t > SMALLEST_T else _stable_log_partitions(queries, keys, t)


def _shifted_log_partitions(queries: Tensor, keys: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """`log_partitions` with the shift 1/t, which bounds all exponents: one pass of exp serves both sums."""
    over_queries, over_keys, shift = torch.zeros_like(keys[:, 0]), [], 1 / t
    for part in _blocks(queries, keys):
        terms = ((part / t) @ keys.T).sub_(shift).exp_()
        over_queries += terms.sum(0)
        over_keys.append(terms.sum(1))
    return over_queries.log() + shift, torch.cat(over_keys).log() + shift


def _stable_log_partitions(queries: Tensor, keys: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """`log_partitions` with a shift for each row and column."""
    over_queries, over_keys = [], []
    for part in _blocks(queries, keys):
        scores = (part / t) @ keys.T
        over_queries.append(scores.logsumexp(0))
        over_keys.append(scores.logsumexp(1))
    return torch.stack(over_queries).logsumexp(0), torch.cat(over_keys)


def shared_log_partitions(queries: Tensor, keys: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """`log_partitions`, for which each worker compares its own rows of the queries with all keys."""
    over_queries, over_keys = log_partitions(local_rows(queries), keys, t)
    return gather(over_queries[None], world_size()).logsumexp(0), gather(over_keys, len(queries))


def row_entropies(queries: Tensor, keys: Tensor, t: float) -> Tensor:
    """Entropy in nats of softmax(query . keys / t) for each query, [M]."""
    parts = (((part / t) @ keys.T).softmax(1) for part in _blocks(queries, keys))
    return torch.cat([torch.special.entr(part).sum(1) for part in parts])


def _blocks(queries: Tensor, keys: Tensor) -> tuple[Tensor, ...]:
    """The queries [M, d] in blocks of rows."""
    size = CPU_BLOCK if queries.device.type == "cpu" else GPU_BLOCK
    blocks: tuple[Tensor, ...] = queries.split(max(1, size // max(1, len(keys))))
    return blocks

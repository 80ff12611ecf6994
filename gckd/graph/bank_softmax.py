"""Partition functions and entropies of the softmax between all entries of two banks, without an M x N matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from gckd.distributed import gather, local_rows, world_size

# Similarities of two banks that exist at a time: on a CPU they stay in its cache, a GPU needs large kernels.
CPU_BLOCK, GPU_BLOCK = 2**19, 2**25
ALIGNED = 64  # blocks have a multiple of this number of rows, if they can
SMALLEST_T = 1 / 72  # above it, exp(cosine / t) and the sum of 2^22 such terms are normal float32 numbers


def log_partitions(queries: Tensor, keys: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """log sum exp(query_i . key_j / t) over i, [N], and over j, [M], of unit vectors [M, d] and [N, d]."""
    return _unshifted_log_partitions(queries, keys, t) if t > SMALLEST_T else _shifted_log_partitions(queries, keys, t)


def _unshifted_log_partitions(queries: Tensor, keys: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """`log_partitions` without a shift of the exponents: one pass of exp serves both sums."""
    over_queries, over_keys = torch.zeros_like(keys[:, 0]), []
    for part in blocks(queries, keys):
        terms = ((part / t) @ keys.T).exp_()
        over_queries += terms.sum(0)
        over_keys.append(terms.sum(1))
    return over_queries.log(), torch.cat(over_keys).log()


def _shifted_log_partitions(queries: Tensor, keys: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """`log_partitions` with a shift for each row and column, which holds at any temperature."""
    over_queries, over_keys = [], []
    for part in blocks(queries, keys):
        scores = (part / t) @ keys.T
        over_queries.append(scores.logsumexp(0))
        over_keys.append(scores.logsumexp(1))
    return torch.stack(over_queries).logsumexp(0), torch.cat(over_keys)


def shared_log_partitions(queries: Tensor, keys: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """`log_partitions`, for which each worker compares its own rows of the queries with all keys."""
    over_queries, over_keys = log_partitions(local_rows(queries), keys, t)
    return gather(over_queries[None], world_size()).logsumexp(0), gather(over_keys, len(queries))


def row_log_partitions(queries: Tensor, keys: Tensor, t: float) -> Tensor:
    """log sum exp(query_i . key_j / t) over j, [M], of unit vectors [M, d] and [N, d]."""
    return torch.cat([((part / t) @ keys.T).logsumexp(1) for part in blocks(queries, keys)])


def row_entropies(queries: Tensor, keys: Tensor, t: float) -> Tensor:
    """Entropy in nats of softmax(query . keys / t) for each query, [M]."""
    parts = (((part / t) @ keys.T).softmax(1) for part in blocks(queries, keys))
    return torch.cat([torch.special.entr(part).sum(1) for part in parts])


def blocks(rows: Tensor, columns: Tensor) -> tuple[Tensor, ...]:
    """The rows [M, d] in blocks, whose products with the columns [N, d] have a good size for the device."""
    size = CPU_BLOCK if rows.device.type == "cpu" else GPU_BLOCK
    count = max(1, size // max(1, len(columns)))
    # Matrix products and gathers are faster at a multiple of the vector width.
    parts: tuple[Tensor, ...] = rows.split(count // ALIGNED * ALIGNED or count)
    return parts

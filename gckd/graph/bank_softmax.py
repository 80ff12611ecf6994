"""Partition functions and entropies of the softmax between all entries of two banks, without an M x N matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from gckd.distributed import gather, local_rows, world_size

BLOCK = 512  # rows of the similarities of two banks that exist at a time


def log_partitions(queries: Tensor, keys: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """log sum exp(query_i . key_j / t) over i, [N], and over j, [M], in blocks of rows, without an M x N matrix."""
    over_queries, over_keys = [], []
    for part in queries.split(BLOCK):
        scores = (part / t) @ keys.T
        over_queries.append(scores.logsumexp(0))
        over_keys.append(scores.logsumexp(1))
    return torch.stack(over_queries).logsumexp(0), torch.cat(over_keys)


def shared_log_partitions(queries: Tensor, keys: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """`log_partitions`, for which each worker compares its own rows of the queries with all keys."""
    over_queries, over_keys = log_partitions(local_rows(queries), keys, t)
    return gather(over_queries[None], world_size()).logsumexp(0), gather(over_keys, len(queries))


def row_entropies(queries: Tensor, keys: Tensor, t: float) -> Tensor:
    """Entropy in nats of softmax(query . keys / t) for each query, [M], in blocks of rows."""
    parts = (((part / t) @ keys.T).softmax(1) for part in queries.split(BLOCK))
    return torch.cat([torch.special.entr(part).sum(1) for part in parts])

"""Teacher embeddings that fill the banks before the first step, computed once for all runs.

They depend on the source model, the datasets and the seed, but on nothing that a trial or an ablation row changes: a
larger bank takes more examples of the same random order.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gckd.distributed import barrier, broadcast_bool, map_batches, rank, world_size
from gckd.seeding import generator
from gckd.storage.cache import CachePath
from gckd.storage.checkpoint import load_checkpoint, save_atomically
from gckd.storage.shared_file import exclusive, usable

BATCH = 256  # examples per forward pass
Batches = list[tuple[Tensor, Tensor]]  # rows [b] of a split, embeddings [b, d]
Embed = Callable[[Tensor], Tensor]  # rows [b] of a split -> their embeddings [b, d]


def warm_start_order(name: str, seed: int, rows: int) -> Tensor:
    """Random order [rows] in which the examples of a split enter a bank."""
    return torch.randperm(rows, generator=generator(seed, "warm-start/" + name))


@dataclass
class WarmStart:
    """Embeddings of one model for the warm start of the banks.

    Args:
        folder: cache shared by all runs with this model and these datasets; None computes without a cache.
    """

    folder: Path | CachePath | None = None
    seconds: float = 0.0  # to compute the embeddings used so far, whether or not they came from the cache

    def first(self, name: str, seed: int, rows: int, count: int, embed: Embed) -> Batches:
        """Embeddings of the first `count` of `rows` examples in the random order `name`, in batches.

        Whole batches are computed, so that an embedding does not depend on `count` (the captions of a batch are padded
        to the longest).
        """
        order = warm_start_order(name, seed, rows)
        whole_batches = order[: -(-count // BATCH) * BATCH]
        if self.folder is None:
            content = _extend({}, whole_batches, embed)
        else:
            content = _load_or_compute(CachePath.at(self.folder) / f"{name}-{seed}.pt", whole_batches, embed)
        self.seconds += content["seconds"] * len(whole_batches) / max(len(content["embeddings"]), 1)
        embeddings = content["embeddings"][:count].to(order.device)
        return list(zip(order[:count].split(BATCH), embeddings.split(BATCH), strict=True))


def _load_or_compute(entry: CachePath, rows: Tensor, embed: Embed) -> dict[str, Any]:
    """Content of a cache entry, extended to all `rows`; one run computes while others wait."""
    with exclusive(entry.local_path):
        # All workers must start from the same content, and only the object store is shared by all machines.
        exists = entry.ensure_local() if world_size() == 1 else entry.download() or entry.local_path.exists()
        content = (usable(entry.local_path, load_checkpoint) if exists else None) or {}
        if not broadcast_bool(len(content.get("embeddings", ())) >= len(rows)):
            content = _extend(content, rows, embed)
            if not rank():
                save_atomically(entry.local_path, content)
                entry.upload()
        barrier()
    return content


def _extend(content: dict[str, Any], rows: Tensor, embed: Embed) -> dict[str, Any]:
    """The content with the embeddings of all `rows`; only the missing ones are computed."""
    start, cached = time.perf_counter(), [content["embeddings"]] if content else []
    missing = rows[sum(map(len, cached)) :]
    computed = map_batches(embed, missing.split(BATCH)).cpu()
    seconds = time.perf_counter() - start + content.get("seconds", 0.0)
    return {"embeddings": torch.cat((*cached, computed)), "seconds": seconds}

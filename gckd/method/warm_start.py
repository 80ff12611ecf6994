"""Bank warm starts: teacher embeddings of train examples before the first step, computed once for all runs.

They depend on the source model, the datasets and the seed, and on nothing that a trial or a row changes: a larger C
takes more of the same order.
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
from gckd.storage.shared_file import exclusive

BATCH = 256  # examples per forward pass
Batches = list[tuple[Tensor, Tensor]]  # rows [b] of a split, embeddings [b, d]
Embed = Callable[[Tensor], Tensor]  # rows [b] of a split -> their embeddings [b, d]


@dataclass
class WarmStart:
    """The embeddings of one model.

    Args:
        folder: where they are kept for other runs of this model and these datasets; None keeps nothing.
    """

    folder: Path | CachePath | None = None
    worth: float = 0.0  # seconds that computing them takes, whoever did it

    def first(self, name: str, seed: int, rows: int, wanted: int, embed: Embed) -> Batches:
        """The first `wanted` of `rows` examples in the seeded random order `name`.

        Returns:
            Rows and embeddings, in batches. They are computed in whole batches, so that an embedding does not depend
            on how many are wanted (a batch's captions are padded to its longest).
        """
        order = torch.randperm(rows, generator=generator(seed, "warm-start/" + name))
        need = order[: -(-wanted // BATCH) * BATCH]
        if self.folder is None:
            held = _extended({}, need, embed)
        else:
            held = _kept(CachePath.at(self.folder) / f"{name}-{seed}.pt", need, embed)
        self.worth += held["seconds"] * len(need) / max(len(held["embeddings"]), 1)
        found = held["embeddings"][:wanted].to(order.device)
        return list(zip(order[:wanted].split(BATCH), found.split(BATCH), strict=True))


def _kept(kept: CachePath, need: Tensor, embed: Embed) -> dict[str, Any]:
    """What the file holds, once it holds enough; one process computes, others wait."""
    with exclusive(kept.local_path):
        # Workers of several machines begin with the same: what the object store has.
        found = kept.ensure_local() if world_size() == 1 else kept.download() or kept.local_path.exists()
        held = load_checkpoint(kept.local_path) if found else {}
        if not broadcast_bool(len(held.get("embeddings", ())) >= len(need)):
            held = _extended(held, need, embed)
            if not rank():
                save_atomically(kept.local_path, held)
                kept.upload()
        barrier()
    return held


def _extended(held: dict[str, Any], need: Tensor, embed: Embed) -> dict[str, Any]:
    begun, before = time.perf_counter(), [held["embeddings"]] if held else []
    have = sum(map(len, before))
    new = map_batches(embed, need[have:].split(BATCH)).cpu()
    seconds = time.perf_counter() - begun + held.get("seconds", 0.0)
    return {"embeddings": torch.cat((*before, new)), "seconds": seconds}

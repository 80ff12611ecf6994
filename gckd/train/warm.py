"""Bank warm starts: teacher embeddings of train examples before the first step, computed once for all runs.

They depend on the source model, the datasets and the seed, and on nothing that a trial or a row changes: a larger C
takes more of the same order.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor

from gckd.train.loop import load_checkpoint, save_atomically
from gckd.train.randomness import generator
from gckd.train.workers import agreed, rank, wait_for_all

BATCH = 256  # examples per forward pass
Batches = list[tuple[Tensor, Tensor]]  # rows [b] of a split, embeddings [b, d]
Embed = Callable[[Tensor], Tensor]  # rows [b] of a split -> their embeddings [b, d]


@dataclass
class WarmStart:
    """The embeddings of one model.

    Args:
        folder: where they are kept for other runs of this model and these datasets; None keeps nothing.
    """

    folder: Path | None = None
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
            held = _kept(self.folder / f"{name}-{seed}.pt", need, embed)
        self.worth += held["seconds"] * len(need) / max(len(held["embeddings"]), 1)
        found = held["embeddings"][:wanted].to(order.device)
        return list(zip(order[:wanted].split(BATCH), found.split(BATCH), strict=True))


def _kept(path: Path, need: Tensor, embed: Embed) -> dict[str, Any]:
    """What the file holds, once it holds enough; one process computes, others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Workers of one run compute together: the first of them holds the lock for all.
    with contextlib.nullcontext() if rank() else FileLock(f"{path}.lock"):
        held = load_checkpoint(path) if path.exists() else {}
        if not agreed(len(held.get("embeddings", ())) >= len(need)):
            held = _extended(held, need, embed)
            if not rank():
                save_atomically(path, held)
        wait_for_all()
    return held


def _extended(held: dict[str, Any], need: Tensor, embed: Embed) -> dict[str, Any]:
    begun, before = time.perf_counter(), [held["embeddings"]] if held else []
    have = sum(map(len, before))
    new = [embed(part).cpu() for part in need[have:].split(BATCH)]
    seconds = time.perf_counter() - begun + held.get("seconds", 0.0)
    return {"embeddings": torch.cat((*before, *new)), "seconds": seconds}

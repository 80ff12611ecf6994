"""Division of the work on all rows of a bank among the workers of a run, each of which has the whole bank."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from gckd.distributed import gather, local_rows, world_size

MIN_PAIRS = 2**26  # comparisons of two entries; exchanging the results of fewer takes longer than computing them


def divides(pairs: int) -> bool:
    """Whether the workers divide work that compares so many pairs of entries; all must ask for the same number."""
    return world_size() > 1 and pairs >= MIN_PAIRS


def of_all_rows(compute: Callable[[Tensor], Tensor], rows: Tensor, divided: bool) -> Tensor:
    """compute(rows) [N, ...] of rows [N, ...], whose rows depend on one row each; if `divided`, by all workers."""
    return gather(compute(local_rows(rows)), len(rows)) if divided else compute(rows)

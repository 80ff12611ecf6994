"""Numbers that the paper reports. They are shown only for the datasets on which it measured them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# datasets -> row -> Rank-1 in percent (arXiv 2501.15052)
RANK_1: dict[str, dict[str, float]] = {
    "icfg-pedes -> rstpreid": {"full": 59.95, "-gmp": 58.2, "+cmkd": 58.2, "-gmp-cmkd": 55.0, "baseline": 55.0},
}


def published_rank_1(records: Sequence[Mapping[str, Any]], row: str) -> float | None:
    """The paper's Rank-1 of `row`; None unless every record is of the datasets on which it was measured."""
    datasets = {r["published"] for r in records}
    return RANK_1.get(datasets.pop(), {}).get(row) if len(datasets) == 1 else None

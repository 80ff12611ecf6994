"""Invented run records, in the form of `gckd.runs.records`."""

from __future__ import annotations

from typing import Any


def record(row: str, seed: int, rank_1: float, **changes: Any) -> dict[str, Any]:
    """A finished run. mAP is 5 below Rank-1; the other metrics are constant."""
    metrics = {"rank_1": rank_1, "rank_5": 80.0, "rank_10": 90.0, "map": rank_1 - 5, "minp": 40.0}
    names = {"source": "street/ICFG-PEDES", "target": "street/RSTPReid", "published": ""}
    sizes = {"queries": 3000, "gallery": 1500, "notes": '["source val was flat"]'}
    outcome = {"status": "done", "seconds": 60.0, "pretrain_seconds": 30.0, "edits": "{}"}
    return {"row": row, "seed": seed, **metrics, **names, **sizes, **outcome, **changes}


def failed(row: str, seed: int) -> dict[str, Any]:
    """A failed run, without metrics."""
    no_metrics = dict.fromkeys(("rank_1", "rank_5", "rank_10", "map", "minp", "queries", "gallery"))
    return record(row, seed, 0.0) | no_metrics | {"status": "failed", "notes": "[]"}

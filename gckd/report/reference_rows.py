"""Reference rows of a table: the source model, and a model that is trained with target labels.

The gap between them is what adaptation can gain. The share of a row is (row - source model) / (supervised - source
model).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from gckd.report.statistics import Estimate, paired

SOURCE_MODEL = "source-model"
SUPERVISED = "supervised"

BySeed = Mapping[int, float]  # seed of a finished run -> value


def reads_target_labels(record: Mapping[str, Any]) -> bool:
    """Whether the row of a run record trains with target labels, by its edits."""
    edits = json.loads(record.get("edits") or "{}")
    return bool(edits.get("adapt.labels", edits.get("adapt", {}).get("labels")) == "target")


def gap(values: Mapping[str, BySeed]) -> Estimate | None:
    """supervised - source model, paired by seed; None without a common seed.

    Args:
        values: row -> seed -> value.
    """
    return paired(values.get(SUPERVISED, {}), values.get(SOURCE_MODEL, {}))


def is_gap(difference: Estimate) -> bool:
    """Whether the supervised model is better: 0 is below the 95 % interval, or below the difference with one seed."""
    return difference.mean - (difference.half_width or 0.0) > 0


def gap_closed(values: Mapping[str, BySeed]) -> dict[str, float]:
    """Row -> percent of the gap that it closes; empty if there is no gap.

    The means are over the seeds that the row has in common with both reference rows.

    Args:
        values: row -> seed -> value.
    """
    difference = gap(values)
    if difference is None or not is_gap(difference):
        return {}
    source, supervised = values[SOURCE_MODEL], values[SUPERVISED]
    shares = {}
    for row in values.keys() - {SOURCE_MODEL, SUPERVISED}:
        seeds = values[row].keys() & source.keys() & supervised.keys()
        whole = math.fsum(supervised[seed] - source[seed] for seed in seeds)
        if whole > 0:
            shares[row] = 100 * math.fsum(values[row][seed] - source[seed] for seed in seeds) / whole
    return shares

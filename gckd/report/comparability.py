"""Whether the runs of a table may be compared: the same code on the same data, with as much training."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gckd.config.edit import configure
from gckd.report.summary import FULL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gckd.config import Config
    from gckd.config.stages import Adapt, Pretrain

MIXED = "--mixed puts them in one table all the same, and marks them"
CODE = "code"
_ALIKE = {"git_revision": CODE, "source_digest": "source dataset", "target_digest": "target dataset"}
_SHOWN = 12  # digits of a revision or digest


@dataclass(frozen=True)
class Mixture:
    """Something that finished runs do not have in common."""

    what: str
    rows: Mapping[str, Sequence[str]]  # value -> rows that have runs with it

    def __str__(self) -> str:
        """`code: 1a2b... (full, -gmp); 3c4d... (-gmp)`."""
        return f"{self.what}: " + "; ".join(f"{value} ({', '.join(names)})" for value, names in self.rows.items())

    @property
    def marked(self) -> frozenset[str]:
        """Rows with runs that are not as the first run of the full method, or of the first row."""
        usual = next((value for value, names in self.rows.items() if FULL in names), next(iter(self.rows)))
        return frozenset(name for value, names in self.rows.items() if value != usual for name in names)


def budget(config: Config) -> dict[str, str]:
    """How much a run trains: pairs that its steps see in either stage, whatever the size of a batch.

    Of a stage without steps nothing is said: the source model as it is may stand beside every way of adapting it.
    """
    stages: dict[str, Adapt | Pretrain] = {"adaptation": config.adapt, "pre-training": config.pretrain}
    return {f"budget of {name}": f"{s.steps * s.accumulate * s.batch:,} pairs" for name, s in stages.items() if s.steps}


def mixtures(records: Sequence[Mapping[str, Any]], config: Config) -> list[Mixture]:
    """What the finished runs do not have in common.

    Args:
        config: of the full row; the records say how each other row differs from it.
    """
    rows_of: dict[str, dict[str, dict[str, None]]] = {}
    budget_of = functools.cache(lambda edits: budget(configure(config, json.loads(edits))))
    for record in (r for r in records if r["status"] == "done"):
        origin = {what: _short(record[field]) for field, what in _ALIKE.items() if record.get(field)}
        for what, value in {**origin, **budget_of(record.get("edits") or "{}")}.items():
            rows_of.setdefault(what, {}).setdefault(value, {})[record["row"]] = None
    return [
        Mixture(what, {value: tuple(rows) for value, rows in values.items()})
        for what, values in rows_of.items()
        if len(values) > 1
    ]


def _short(value: str) -> str:
    head, dash, tail = value.partition("-")
    return head[:_SHOWN] + dash + tail

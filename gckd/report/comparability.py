"""Comparability of the runs of a table: same code, same plugins, same data, same training budget."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gckd.report.summary import FULL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gckd.config import Config

MIXED_HINT = "--mixed puts them in one table and marks the rows that differ from full"
CODE = "code"
_COMPARED = {"git_revision": CODE, "source_digest": "source dataset", "target_digest": "target dataset"}
_STAGES = {"adapt": "adaptation", "pretrain": "pre-training"}
_FACTORS = ("steps", "accumulate", "batch", "stop_after")  # of a stage's number of pairs
_HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]+")


@dataclass(frozen=True)
class Mismatch:
    """A quantity in which finished runs differ, though it must be equal for a fair comparison."""

    quantity: str
    rows: Mapping[str, Sequence[str]]  # value -> rows that have runs with it

    def __str__(self) -> str:
        """`code: 1a2b... (full, -gmp); 3c4d... (-gmp)`."""
        return f"{self.quantity}: " + "; ".join(f"{value} ({', '.join(names)})" for value, names in self.rows.items())

    @property
    def differing_rows(self) -> frozenset[str]:
        """Rows with a run that differs from the first run of the full method, or without one from the first row."""
        reference = next((value for value, names in self.rows.items() if FULL in names), next(iter(self.rows)))
        return frozenset(name for value, names in self.rows.items() if value != reference for name in names)


def budget(config: Config, edits: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Stage -> training pairs that its steps see, whatever the batch size.

    A stage without steps is left out: the source model can be compared with every way to adapt it.

    Args:
        config: full config.
        edits: of a row, as its records hold them. They are read, not applied, so that a report needs no plugin.
    """
    edits, budgets = edits or {}, {}
    for path, stage in _STAGES.items():
        full, replaced = getattr(config, path), edits.get(path, {})
        values = {
            name: edits.get(f"{path}.{name}", replaced.get(name, getattr(full, name)))
            for name in _FACTORS
            if hasattr(full, name)
        }
        steps = min(values.get("stop_after") or values["steps"], values["steps"])
        if steps:
            budgets[f"budget of {stage}"] = f"{steps * values['accumulate'] * values['batch']:,} pairs"
    return budgets


def mismatches(records: Sequence[Mapping[str, Any]], config: Config) -> list[Mismatch]:
    """Quantities in which the finished runs differ.

    Args:
        config: full config; the records hold the edits of each row.
    """
    rows_of: dict[str, dict[str, dict[str, None]]] = {}
    for record in (r for r in records if r["status"] == "done"):
        for quantity, value in {
            **_provenance(record),
            **budget(config, json.loads(record.get("edits") or "{}")),
        }.items():
            rows_of.setdefault(quantity, {}).setdefault(value, {})[record["row"]] = None
    return [
        Mismatch(quantity, {value: tuple(rows) for value, rows in values.items()})
        for quantity, values in rows_of.items()
        if len(values) > 1
    ]


def plugins_of(record: Mapping[str, Any]) -> dict[str, str]:
    """File name -> digest of each plugin of a run; empty for records of versions without plugins."""
    plugins: dict[str, str] = json.loads(record.get("plugins") or "{}")
    return plugins


def short_revision(value: str) -> str:
    """A revision with 12 of its hex digits; `-dirty` and `gckd <version>` are kept."""
    return _HASH.sub(r"\1", value)


def _provenance(record: Mapping[str, Any]) -> dict[str, str]:
    """Quantity -> value. A run without a plugin can be compared with runs that loaded one."""
    compared = {quantity: record[field] for field, quantity in _COMPARED.items() if record.get(field)}
    compared |= {f"plugin {name}": digest for name, digest in plugins_of(record).items()}
    return {quantity: short_revision(value) for quantity, value in compared.items()}

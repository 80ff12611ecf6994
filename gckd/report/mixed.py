"""Whether the runs of a table may be compared: the same code on the same data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ALIKE = {"git_revision": "code", "source_digest": "source dataset", "target_digest": "target dataset"}
_SHOWN = 12  # digits of a revision or digest


def mixtures(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the finished runs do not have in common, one line each: `code: 1a2b... (full, -gmp); 3c4d... (-gmp)`."""
    lines = []
    for field, what in _ALIKE.items():
        rows: dict[str, dict[str, None]] = {}
        for record in records:
            if record["status"] == "done" and record.get(field):
                rows.setdefault(_short(record[field]), {})[record["row"]] = None
        if len(rows) > 1:
            lines.append(f"{what}: " + "; ".join(f"{value} ({', '.join(names)})" for value, names in rows.items()))
    return lines


def _short(value: str) -> str:
    head, dash, tail = value.partition("-")
    return head[:_SHOWN] + dash + tail

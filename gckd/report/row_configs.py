"""Config of each row of a table as plain dicts, from the records alone, so that no plugin is needed."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from gckd.config import encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gckd.config import Config


def row_configs(records: Sequence[Mapping[str, Any]], config: Config) -> dict[str, dict[str, Any]]:
    """Row -> its encoded config: the full config with the edits in the records of the row."""
    full: dict[str, Any] = encode(config)
    edits = {str(record["row"]): json.loads(record.get("edits") or "{}") for record in records}
    return {row: _edited(full, row_edits) for row, row_edits in edits.items()}


def _edited(full: Mapping[str, Any], edits: Mapping[str, Any]) -> dict[str, Any]:
    config = copy.deepcopy(dict(full))
    for path, value in edits.items():
        *outer, name = path.split(".")
        node = config
        for key in outer:
            node = node.setdefault(key, {})
        node[name] = value
    return config

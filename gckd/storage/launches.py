"""Log of the commands that added runs to an output folder, launches.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gckd.storage.json_file import read_json

LAUNCHES_FILE = "launches.json"
_FACT = {"type": ["string", "number", "boolean", "null"]}
_SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["command"],
        "properties": {"command": {"type": "string"}},
        "additionalProperties": _FACT,
    },
}


def read_launches(file: Path) -> list[dict[str, Any]]:
    """Entries of a launches.json: name of a fact -> value.

    Raises:
        InputError: the file cannot be read, or is damaged.
    """
    entries: list[dict[str, Any]] = read_json(file, _SCHEMA, "delete it; the report then lacks the commands")
    return entries

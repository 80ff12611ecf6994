"""Table of example queries with thumbnails, examples.parquet: its schema, and its reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from gckd.errors import InputError
from gckd.storage.json_file import parse_json
from gckd.storage.parquet_file import read_table

EXAMPLES_FILE = "examples.parquet"
ABOUT = b"about"  # key of the metadata that describes the draw of the queries
EXAMPLES = pa.schema(
    [
        ("query", pa.int32()),  # row of the caption in its split
        ("caption", pa.string()),
        ("kind", pa.string()),  # reason why the query is shown
        ("row", pa.string()),
        ("rank", pa.int32()),  # of the first hit, from 1
        ("ap", pa.float32()),  # in [0, 1]
        ("images", pa.list_(pa.binary())),  # JPEG, best first
        ("hits", pa.list_(pa.bool_())),
    ]
)
_COUNTS = ("seed", "random", "each", "queries", "better", "worse")
_ABOUT_SCHEMA = {
    "type": "object",
    "required": ["against", *_COUNTS],
    "properties": {"against": {"type": "string"}, **{name: {"type": "integer"} for name in _COUNTS}},
}
_REMEDY = "delete it; the report then lacks the examples"


def read_examples(file: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of an examples.parquet, and the description of the draw of its queries.

    Raises:
        InputError: the file cannot be read, or is damaged.
    """
    table = read_table(file, EXAMPLES, _REMEDY)
    try:
        about = parse_json((table.schema.metadata or {}).get(ABOUT, b""), _ABOUT_SCHEMA)
    except ValueError as error:
        raise InputError(f"{file}: damaged (its description: {error}); {_REMEDY}") from error
    rows = table.to_pylist()
    for place, row in enumerate(rows):
        values = [*row.values(), *(row["images"] or []), *(row["hits"] or [])]
        if None in values or len(row["images"]) != len(row["hits"]):
            raise InputError(f"{file}: damaged (row {place}: no value, or other images than hits); {_REMEDY}")
    return rows, about

"""Tables that a run leaves: columns of runs.parquet, curves.parquet and queries.parquet, checked when they are read.

A damaged file is named in one line. Columns of later versions are ignored; `_OPTIONAL` ones may be absent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gckd.errors import InputError, reason_of
from gckd.storage.label import Label

Row = dict[str, Any]

METRICS = ("rank_1", "rank_5", "rank_10", "map", "minp")  # percent, target test
DONE, FAILED = "done", "failed"
RUNS_FILE, CURVES_FILE, QUERIES_FILE = "runs.parquet", "curves.parquet", "queries.parquet"
RUNS = pa.schema(
    [
        ("row", pa.string()),
        ("seed", pa.int64()),
        *((name, pa.float64()) for name in METRICS),
        ("config_digest", pa.string()),
        ("edits", pa.string()),  # JSON, relative to the config of the full row
        ("git_revision", pa.string()),
        ("seconds", pa.float64()),
        ("pretrain_seconds", pa.float64()),
        ("source_digest", pa.string()),
        ("target_digest", pa.string()),
        ("source", pa.string()),
        ("target", pa.string()),
        ("published", pa.string()),  # `icfg-pedes -> rstpreid` if both match the published datasets, else empty
        ("queries", pa.int64()),
        ("gallery", pa.int64()),
        ("plugins", pa.string()),  # JSON: file name -> digest of its text; null in records of older versions
        ("notes", pa.string()),  # JSON list
        ("status", pa.string()),
        ("error", pa.string()),
    ]
)
CURVES = pa.schema(
    [
        ("row", pa.string()),
        ("seed", pa.int64()),
        ("stage", pa.string()),
        ("step", pa.int64()),
        ("name", pa.string()),
        ("value", pa.float64()),
    ]
)
QUERIES = pa.schema(
    [
        ("query", pa.int32()),  # row of the caption in its split
        ("identity", pa.int64()),
        ("rank", pa.int32()),  # of the first hit, from 1
        ("ap", pa.float32()),  # in [0, 1]
        ("top", pa.list_(pa.int32())),  # rows of the top-ranked gallery images, best first
    ]
)
# Columns that records of older versions lack.
_OPTIONAL = {"config_digest", "git_revision", "source_digest", "target_digest", "plugins", "error", "query", "top"}
# Columns without nulls in every run, and in a finished one.
_ALWAYS = ("row", "seed", "status", "edits", "notes", "source", "target", "published", "seconds")
_OF_DONE = (*METRICS, "pretrain_seconds", "queries", "gallery")
_JSON = {"edits": dict, "notes": list, "plugins": dict}
_REMEDY = "restore it from a copy, or delete it to repeat the runs"


def read_runs(file: Path) -> list[Row]:
    """Rows of a runs.parquet.

    Raises:
        InputError: the file cannot be read, or is damaged.
    """
    rows = _rows(file, RUNS)
    for place, row in enumerate(rows):
        for problem in _run_problems(row):
            raise InputError(f"{file}: damaged (row {place}: {problem}); {_REMEDY}")
    return rows


def read_curves(file: Path) -> list[Row]:
    """Rows of a curves.parquet.

    Raises:
        InputError: the file cannot be read, or is damaged.
    """
    rows = _rows(file, CURVES)
    for place, row in enumerate(rows):
        if any(value is None for name, value in row.items() if name != "value"):
            raise InputError(f"{file}: damaged (row {place} has a null); {_REMEDY}")
    # NaN is written as such; a null of a foreign writer means the same.
    return [{**row, "value": math.nan if row["value"] is None else row["value"]} for row in rows]


def read_queries_table(file: Path) -> pa.Table:
    """A queries.parquet.

    Raises:
        InputError: the file cannot be read, or is damaged.
    """
    table = read_table(file, QUERIES, _REMEDY)
    if any(table.column(name).null_count for name in ("identity", "rank", "ap")):
        raise InputError(f"{file}: damaged (a null in identity, rank or ap); {_REMEDY}")
    return table


def read_table(file: Path, schema: pa.Schema, remedy: str) -> pa.Table:
    """A Parquet file with the columns of `schema`, in their types; absent optional columns are null.

    Raises:
        InputError: the file cannot be read, lacks columns or has others types.
    """
    try:
        table = pq.ParquetFile(file).read()
        missing = [name for name in schema.names if name not in table.column_names and name not in _OPTIONAL]
        if missing:
            raise InputError(f"{file}: damaged (lacks the columns {', '.join(missing)}); {remedy}")
        columns = [
            table.column(field.name).cast(field.type)
            if field.name in table.column_names
            else pa.nulls(len(table), field.type)
            for field in schema
        ]
        checked = pa.table(columns, schema=schema)
        checked.validate(full=True)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{file}: cannot be read ({reason_of(error)[:120]}); {remedy}") from error
    return checked


def _rows(file: Path, schema: pa.Schema) -> list[Row]:
    try:
        rows: list[Row] = read_table(file, schema, _REMEDY).to_pylist()
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: damaged ({reason_of(error)}); {_REMEDY}") from error
    return rows


def _run_problems(row: Row) -> Iterator[str]:
    """Problems of one row of runs.parquet."""
    nulls = [name for name in _ALWAYS if row[name] is None]
    if row["status"] == DONE:
        nulls += [name for name in _OF_DONE if row[name] is None or not math.isfinite(row[name])]
    if nulls:
        yield f"no value in {', '.join(nulls)}"
        return
    if row["status"] not in (DONE, FAILED):
        yield f"status is neither {DONE} nor {FAILED}"
    try:
        Label(row["row"])
    except InputError as error:
        yield str(error)
    for name, kind in _JSON.items():
        try:
            if row[name] is not None and not isinstance(json.loads(row[name]), kind):
                yield f"{name} is not a JSON {kind.__name__}"
        except (ValueError, RecursionError):
            yield f"{name} is not JSON"

"""Tables of runs, checked when they are read: runs.parquet, curves.parquet, queries.parquet and tuning.parquet.

A damaged file is named in one line. Columns of later versions are ignored; `_OPTIONAL` ones may be absent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from gckd.errors import InputError, reason_of
from gckd.storage.json_file import parse_json
from gckd.storage.label import Label
from gckd.storage.parquet_file import read_table

Row = dict[str, Any]

METRICS = ("rank_1", "rank_5", "rank_10", "map", "minp")  # percent, target test
DONE, FAILED = "done", "failed"
RUNS_FILE, CURVES_FILE, QUERIES_FILE = "runs.parquet", "curves.parquet", "queries.parquet"
TUNING_FILE = "tuning.parquet"
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
# Tuning runs: label-free scores instead of metrics.
TUNING = pa.schema(
    [
        ("row", pa.string()),  # row of the table, and its candidate: `full,adapt.lr=0.004`
        ("seed", pa.int64()),
        ("start", pa.string()),  # JSON: score -> value of the source model
        ("last", pa.string()),  # JSON: score -> value after the last step
        ("config_digest", pa.string()),
        ("edits", pa.string()),  # JSON, relative to the config of the full row
        ("git_revision", pa.string()),
        ("seconds", pa.float64()),
        ("plugins", pa.string()),  # JSON: file name -> digest of its text
        ("status", pa.string()),
        ("error", pa.string()),
    ]
)
# Columns that records of older versions lack.
_OPTIONAL = {"config_digest", "git_revision", "source_digest", "target_digest", "plugins", "error", "query", "top"}
# Columns without nulls in every run, and in a finished one.
_ALWAYS = ("row", "seed", "status", "edits", "notes", "source", "target", "published", "seconds")
_OF_DONE = (*METRICS, "pretrain_seconds", "queries", "gallery")
_ALWAYS_TUNING = ("row", "seed", "status", "edits", "seconds")
_SCORES = ("start", "last")  # of a finished tuning run
_JSON = {"edits": dict, "notes": list, "plugins": dict}
_REMEDY = "restore it from a copy, or delete it to repeat the runs"


def read_runs(file: Path) -> list[Row]:
    """Rows of a runs.parquet.

    Raises:
        InputError: the file cannot be read, or is damaged.
    """
    rows = _rows(file, RUNS)
    _check_rows(file, rows, _ALWAYS, _OF_DONE)
    return rows


def read_tuning(file: Path, scores: Mapping[str, Any]) -> list[Row]:
    """Rows of a tuning.parquet.

    Args:
        scores: JSON schema of the scores of one model.

    Raises:
        InputError: the file cannot be read, or is damaged.
    """
    rows = _rows(file, TUNING)
    _check_rows(file, rows, _ALWAYS_TUNING, _SCORES)
    for place, row in enumerate(rows):
        for name in _SCORES if row["status"] == DONE else ():
            try:
                parse_json(row[name].encode(), scores)
            except ValueError as error:
                raise InputError(f"{file}: damaged (row {place}: {name}: {error}); {_REMEDY}") from error
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
    table = read_table(file, QUERIES, _REMEDY, _OPTIONAL)
    if not len(table):
        raise InputError(f"{file}: damaged (no rows); {_REMEDY}")
    if any(table.column(name).null_count for name in ("identity", "rank", "ap")):
        raise InputError(f"{file}: damaged (a null in identity, rank or ap); {_REMEDY}")
    return table


def _rows(file: Path, schema: pa.Schema) -> list[Row]:
    try:
        rows: list[Row] = read_table(file, schema, _REMEDY, _OPTIONAL).to_pylist()
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: damaged ({reason_of(error)}); {_REMEDY}") from error
    return rows


def _check_rows(file: Path, rows: Sequence[Row], always: Sequence[str], of_done: Sequence[str]) -> None:
    """Refuse a file of runs with a damaged row.

    Args:
        always: columns without nulls.
        of_done: columns without nulls in a finished run, and finite if they are numbers.
    """
    for place, row in enumerate(rows):
        for problem in _row_problems(row, always, of_done):
            raise InputError(f"{file}: damaged (row {place}: {problem}); {_REMEDY}")


def _row_problems(row: Row, always: Sequence[str], of_done: Sequence[str]) -> Iterator[str]:
    nulls = [name for name in always if row[name] is None]
    if row["status"] == DONE:
        nulls += [name for name in of_done if row[name] is None or _is_infinite(row[name])]
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
            text = row.get(name)
            if text is not None and not isinstance(json.loads(text), kind):
                yield f"{name} is not a JSON {kind.__name__}"
        except (ValueError, RecursionError):
            yield f"{name} is not JSON"


def _is_infinite(value: object) -> bool:
    """Whether it is an infinite number or NaN."""
    return isinstance(value, float) and not math.isfinite(value)

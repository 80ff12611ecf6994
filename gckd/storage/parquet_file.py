"""Parquet files that gckd has written, read back within limits: a small file can declare, or unpack to, any size."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gckd.errors import InputError, reason_of
from gckd.storage.memory_limit import memory_limit

MAX_ROWS = 10_000_000
MAX_BYTES = 2**30  # of all columns that are read, unpacked
_GROWTH = 4  # times this, for levels and for buffers that grow by doubling
_THREADS = 2**28  # bytes for the stacks of Arrow's threads
_BATCH = 1_000  # rows
_CHARACTERS = 120  # of a reason in a message


def read_table(file: Path, schema: pa.Schema, remedy: str, optional: Collection[str] = ()) -> pa.Table:
    """A Parquet file with the columns of `schema`, in their types, and its metadata; other columns are not read.

    Args:
        remedy: end of every message.
        optional: columns that may be absent; they are then null.

    Raises:
        InputError: the file cannot be read, exceeds a limit, lacks columns or has others types.
    """
    try:
        table = _read_columns(file, schema.names)
        missing = [name for name in schema.names if name not in table.column_names and name not in optional]
        if missing:
            raise InputError(f"{file}: damaged (lacks the columns {', '.join(missing)}); {remedy}")
        columns = [
            table.column(field.name).cast(field.type)
            if field.name in table.column_names
            else pa.nulls(len(table), field.type)
            for field in schema
        ]
        checked = pa.table(columns, schema=schema.with_metadata(table.schema.metadata))
        checked.validate(full=True)
    except InputError:
        raise
    except (OSError, pa.ArrowException, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({reason_of(error)[:_CHARACTERS]}); {remedy}") from error
    return checked


def write_parquet(table: pa.Table, file: Path | pa.BufferOutputStream) -> None:
    """Write a Parquet file with check sums, which `read_table` compares."""
    pq.write_table(table, file, write_page_checksum=True)


def _read_columns(file: Path, names: Collection[str]) -> pa.Table:
    """Columns of the file with these names.

    Raises:
        OSError, pa.ArrowException, ValueError: the file is damaged, or exceeds a limit.
    """
    with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
        _check_declared_sizes(parquet.metadata)
        fields = [field for field in parquet.schema_arrow if field.name in names]
        batches, size = [], 0
        with _row_limit():
            for batch in parquet.iter_batches(_BATCH, columns=[field.name for field in fields], use_threads=False):
                size += batch.nbytes
                _check("bytes of unpacked values", size, MAX_BYTES)  # the file may declare less than it holds
                batches.append(batch)
        return pa.Table.from_batches(batches, pa.schema(fields, parquet.schema_arrow.metadata))


@contextlib.contextmanager
def _row_limit() -> Iterator[None]:
    """Context for unpacking. Arrow unpacks a row at once, and its lists may repeat a value any number of times."""
    try:
        with memory_limit(_GROWTH * MAX_BYTES + _THREADS):
            yield
    except MemoryError as error:
        raise ValueError(f"a row unpacks to more than the limit of {MAX_BYTES:,} bytes") from error


def _check_declared_sizes(metadata: pq.FileMetaData) -> None:
    # The metadata of single columns is not read: where it is damaged, Arrow ends the process.
    sizes = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
    _check("rows", metadata.num_rows, MAX_ROWS)
    _check("bytes of unpacked values", sum(sizes), MAX_BYTES)


def _check(noun: str, number: int, limit: int) -> None:
    if not 0 <= number <= limit:
        raise ValueError(f"{number:,} {noun}; the limit is {limit:,}")

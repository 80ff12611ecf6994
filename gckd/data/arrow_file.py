"""Arrow files of a store, memory-mapped. Compressed ones are refused: a small file could unpack to any size."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

_NUMBERS = pa.list_(pa.int64())
COLUMNS = {
    "images.arrow": pa.schema([("image", pa.binary())]),
    "captions.arrow": pa.schema([("caption", pa.string())]),
    "labels.arrow": pa.schema([("image_identity", _NUMBERS), ("caption_image", _NUMBERS)]),
}
_MAGIC = b"ARROW1\0\0"  # of a file; a stream of messages follows
_HEADER_SLOT, _COMPRESSION_SLOT = 2, 3  # fields of Message and of RecordBatch in format/Message.fbs of Apache Arrow


def read_arrow(path: Path) -> pa.Table:
    """Memory-mapped Arrow file of a split. Nothing is copied, and all processes share its pages.

    Its offsets are checked: Arrow itself would read memory outside of the file, or end the process.

    Raises:
        OSError, pa.ArrowException, ValueError: the file is missing, damaged, compressed, or has other columns or nulls.
    """
    schema = COLUMNS[path.name]
    with pa.memory_map(str(path)) as mapped:
        pa.ipc.open_file(mapped)  # checks that the file is whole
        mapped.seek(0)
        if mapped.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("not an Arrow file")
        table = pa.Table.from_batches(_batches(mapped, schema), schema)
    table.validate(full=True)
    if any(column.null_count for column in table.columns):
        raise ValueError("a null")
    return table


def _batches(mapped: pa.MemoryMappedFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Batches of rows at the position of the file."""
    messages = pa.ipc.MessageReader.open_stream(mapped)
    first = next(iter(messages), None)
    if first is None or first.type != "schema":  # Arrow would read any message as a schema, and end the process
        raise ValueError("no schema")
    if not pa.ipc.read_schema(first).equals(schema):
        raise ValueError(f"other columns than {', '.join(schema.names)}")
    for message in messages:
        if message.type != "record batch":
            raise ValueError(f"a {message.type} in place of rows")
        if _is_compressed(message):
            raise ValueError("compressed; a store is not")
        yield pa.ipc.read_record_batch(message, schema)


def _is_compressed(message: pa.Message) -> bool:
    """Whether the buffers of a batch are compressed; pyarrow tells it only by unpacking them."""
    content = message.metadata.to_pybytes()
    try:
        header = _field(content, struct.unpack_from("<I", content)[0], _HEADER_SLOT)
        batch = header + int(struct.unpack_from("<I", content, header)[0])
        return _field(content, batch, _COMPRESSION_SLOT) != batch
    except struct.error as error:
        raise ValueError("a damaged message") from error


def _field(content: bytes, table: int, slot: int) -> int:
    """Position of a field of a flatbuffer table; that of the table itself if the field is absent."""
    layout = table - struct.unpack_from("<i", content, table)[0]
    place = 4 + 2 * slot  # after the sizes of the layout and of the table
    is_there = place < struct.unpack_from("<H", content, layout)[0]
    return int(table + struct.unpack_from("<H", content, layout + place)[0]) if is_there else table

"""Writes one split of a store: three Arrow files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from gckd.data.images import Inspected, in_parallel
from gckd.data.types import Record
from gckd.errors import InputError

IMAGES_PER_BATCH = 256  # bounds the memory of a build


class Row(NamedTuple):
    """One image on its way into a store; rows sort by content, so the order of the annotation file is forgotten."""

    content: str  # SHA-256 of the file's bytes, in hex
    identity: int
    captions: tuple[str, ...]  # sorted, without empty ones
    path: Path

    @staticmethod
    def of(folder: Path, record: Record, found: Inspected) -> Row:
        """The row of a sound image."""
        captions = tuple(sorted(c for c in record.captions if c.strip()))
        return Row(found.content, record.identity, captions, folder / record.image)


def write_split(rows: list[Row], folder: Path, workers: int | None) -> dict[str, int]:
    """Writes `rows` (sorted) to `folder` and returns the counts of images, identities and captions.

    Raises:
        InputError: an image file changed since it was verified.
    """
    folder.mkdir(parents=True)
    _write_images(rows, folder / "images.arrow", workers)
    pairs = sorted((hashlib.sha256(c.encode()).digest(), i, c) for i, row in enumerate(rows) for c in row.captions)
    _write(folder / "captions.arrow", {"caption": pa.array([c for _, _, c in pairs], pa.string())})
    labels = {"image_identity": [row.identity for row in rows], "caption_image": [i for _, i, _ in pairs]}
    _write(folder / "labels.arrow", {name: pa.array([of], pa.list_(pa.int64())) for name, of in labels.items()})
    return {"images": len(rows), "identities": len({row.identity for row in rows}), "captions": len(pairs)}


def _write_images(rows: list[Row], path: Path, workers: int | None) -> None:
    schema = pa.schema([("image", pa.binary())])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for start in range(0, len(rows), IMAGES_PER_BATCH):
            encoded = list(in_parallel(_read_again, rows[start : start + IMAGES_PER_BATCH], workers))
            writer.write_batch(pa.record_batch([pa.array(encoded, pa.binary())], schema=schema))


def _read_again(row: Row) -> bytes:
    encoded = row.path.read_bytes()
    if hashlib.sha256(encoded).hexdigest() != row.content:
        raise InputError(f"{row.path}: changed while the dataset was being stored")
    return encoded


def _write(path: Path, columns: dict[str, pa.Array]) -> None:
    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)

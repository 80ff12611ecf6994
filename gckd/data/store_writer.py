"""Writer of one split of a store: three Arrow files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from gckd.data.images import ImageInspection, in_parallel
from gckd.data.types import Record
from gckd.errors import InputError

IMAGES_PER_BATCH = 256  # bounds the memory of a build


class ImageRow(NamedTuple):
    """One image of a store. Rows sort by file hash, so the order of the annotation file leaves no trace."""

    file_hash: str  # SHA-256 of the file's bytes, in hex
    identity: int
    captions: tuple[str, ...]  # sorted, without empty ones
    path: Path

    @staticmethod
    def of(folder: Path, record: Record, inspection: ImageInspection) -> ImageRow:
        """Row of a usable image in the image folder `folder`."""
        captions = tuple(sorted(caption for caption in record.captions if caption.strip()))
        return ImageRow(inspection.file_hash, record.identity, captions, folder / record.image)


def write_split(rows: list[ImageRow], folder: Path, workers: int | None) -> dict[str, int]:
    """Write sorted rows as one split to `folder`.

    Args:
        workers: threads that read image files; None for one per core.

    Returns:
        The number of images, identities and captions, by these names.

    Raises:
        InputError: an image file changed after it was inspected.
    """
    folder.mkdir(parents=True)
    _write_images(rows, folder / "images.arrow", workers)
    pairs = sorted((hashlib.sha256(c.encode()).digest(), i, c) for i, row in enumerate(rows) for c in row.captions)
    _write_table(folder / "captions.arrow", {"caption": pa.array([c for _, _, c in pairs], pa.string())})
    labels = {"image_identity": [row.identity for row in rows], "caption_image": [i for _, i, _ in pairs]}
    columns = {name: pa.array([values], pa.list_(pa.int64())) for name, values in labels.items()}
    _write_table(folder / "labels.arrow", columns)
    return {"images": len(rows), "identities": len({row.identity for row in rows}), "captions": len(pairs)}


def _write_images(rows: list[ImageRow], path: Path, workers: int | None) -> None:
    schema = pa.schema([("image", pa.binary())])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for start in range(0, len(rows), IMAGES_PER_BATCH):
            encoded = list(in_parallel(_read_unchanged, rows[start : start + IMAGES_PER_BATCH], workers))
            writer.write_batch(pa.record_batch([pa.array(encoded, pa.binary())], schema=schema))


def _read_unchanged(row: ImageRow) -> bytes:
    encoded = row.path.read_bytes()
    if hashlib.sha256(encoded).hexdigest() != row.file_hash:
        raise InputError(f"{row.path}: changed while the dataset was being stored; run the command again")
    return encoded


def _write_table(path: Path, columns: dict[str, pa.Array]) -> None:
    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)

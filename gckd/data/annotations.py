"""Annotations of a dataset on disk: found, read by the format's reader, and checked record by record.

No image is opened here; the store and `gckd data check` do that.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from gckd.data.readers import READERS, DatasetReader
from gckd.data.types import SPLITS, Annotations, Record
from gckd.errors import InputError, reason_of, unknown_choice
from gckd.printable import brief
from gckd.storage.path import expanded

VAL_SHARE = 0.08  # share of the train identities held out as val where a dataset has no val split


def read_annotations(spec: str | os.PathLike[str]) -> Annotations:
    """Read the annotations of the dataset at `spec`. Paths in the result are absolute.

    Args:
        spec: PATH or FORMAT:PATH. PATH is the dataset's folder, or a folder that contains exactly one dataset; FORMAT
            is a name in `gckd.data.readers.READERS` and is recognised by file names where it is left out.

    Raises:
        InputError: unknown format, no such folder, no or several annotation files, a file that is not in its format, a
            record with an unusable value, an image path outside the image folder, or an empty split.
    """
    spec = os.fspath(spec)
    try:
        formats, folder = _parse_spec(spec)
        format_name, file = _find_annotation_file(folder, formats)
    except OSError as error:  # no permission, or a name that is too long
        raise InputError(f"dataset {spec!r}: cannot be read ({reason_of(error)})") from error
    reader = READERS[format_name]
    images = file.parent / reader.image_folder
    if not images.is_dir():
        raise InputError(f"{file}: the image folder {images} is missing")
    annotations = _join_entries(Annotations(format_name, file, images.resolve(), _read_records(file, reader)))
    if reader.val_from_train and not any(record.split == "val" for record in annotations.records):
        annotations = _hold_out_val(annotations)
    require_splits(annotations.records, file)
    return annotations


def require_splits(records: tuple[Record, ...], file: Path) -> None:
    """Check that every split has at least one image and one caption.

    Raises:
        InputError: naming the file and the split.
    """
    for split in SPLITS:
        members = [record for record in records if record.split == split]
        if not members:
            raise InputError(f"{file}: the split {split!r} is empty (at least 1 image is needed)")
        if not any(caption.strip() for record in members for caption in record.captions):
            raise InputError(f"{file}: the split {split!r} has {len(members)} images and no caption")


def _parse_spec(spec: str) -> tuple[Mapping[str, DatasetReader], Path]:
    """Formats to look for, and the folder."""
    head, colon, tail = spec.partition(":")
    name = head.lower() if colon and head.lower() in READERS else None
    path = spec if name is None else tail
    if not path.strip() or "\0" in path:
        raise InputError(f"dataset {spec!r}: no path is given; expected PATH or FORMAT:PATH")
    folder = expanded(path).resolve()
    if not folder.exists() and colon and name is None and "/" not in head:
        raise InputError(
            f"dataset {spec!r}: {unknown_choice('format', head, READERS)}; for a format of your own, add --plugin FILE"
        )
    if not folder.is_dir():
        raise InputError(f"dataset {spec!r}: the folder {folder} does not exist")
    return (READERS if name is None else {name: READERS[name]}), folder


def _find_annotation_file(folder: Path, formats: Mapping[str, DatasetReader]) -> tuple[str, Path]:
    """Format name and path of the only annotation file in `folder` or, if it has none, in its direct sub-folders."""
    image_folders = {reader.image_folder for reader in READERS.values()}
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir() and path.name not in image_folders)
    for level in ([folder], subfolders):
        files = [
            (name, path / file)
            for path in level
            for name, reader in formats.items()
            for file in reader.annotation_files
            if (path / file).is_file()
        ]
        if len(files) == 1:
            return files[0]
        if files:
            listed = ", ".join(f"{name}:{file.relative_to(folder)}" for name, file in files)
            raise InputError(f"{folder}: {len(files)} annotation files ({listed}); name one dataset, or FORMAT:PATH")
    expected = ", ".join(file for reader in formats.values() for file in reader.annotation_files)
    raise InputError(f"{folder}: no annotation file in it or in its sub-folders (expected one of {expected})")


def _read_records(file: Path, reader: DatasetReader) -> tuple[Record, ...]:
    """All records of a file, each checked."""
    try:
        records = tuple(reader.read(file))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({reason_of(error)})") from error
    except ValueError as error:
        raise InputError(f"{file}: not in the expected format ({reason_of(error)})") from error
    for number, record in enumerate(records):
        _check_record(record, f"{file}: entry {number} (from 0)", reader)
    # Equivalent spellings of one path, "./a.png" for example, become one.
    return tuple(replace(record, image=str(PurePosixPath(record.image))) for record in records)


def _check_record(record: Record, where: str, reader: DatasetReader) -> None:
    """Check the values that a reader took from a file; their types are not yet certain.

    Raises:
        InputError: the first unusable value, by the name of its field in the file.
    """

    def refuse(field: str, expected: str) -> InputError:
        value = brief(getattr(record, field))
        return InputError(f"{where}: {reader.field_names.get(field, field)!r} is {value}; expected {expected}")

    identity: Any = record.identity
    if not isinstance(identity, int) or isinstance(identity, bool) or abs(identity) >= 2**63:
        raise refuse("identity", "a 64-bit integer")
    if not all(_is_text(caption) for caption in record.captions):
        raise refuse("captions", "a list of texts")
    if record.split not in SPLITS:
        raise refuse("split", f"one of {', '.join(SPLITS)}")
    if not _is_text(record.image) or not _is_inside(record.image):
        raise refuse("image", f"a path inside {reader.image_folder}/")


def _is_text(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()  # JSON can spell lone surrogates, which no file name and no Arrow column can hold
    except UnicodeEncodeError:
        return False
    return True


def _is_inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and "\0" not in path


def _hold_out_val(annotations: Annotations) -> Annotations:
    """Move a share of the train identities to val. The choice depends on the identity numbers alone."""
    records = annotations.records
    identities = {record.identity for record in records if record.split == "train"}
    ranked = sorted(identities, key=lambda identity: hashlib.sha256(str(identity).encode()).digest())
    val = set(ranked[: max(1, round(VAL_SHARE * len(ranked)))]) if len(ranked) > 1 else set()
    moved = tuple(
        replace(record, split="val") if record.split == "train" and record.identity in val else record
        for record in records
    )
    note = (
        f"{annotations.format} has no val split: {len(val)} of {len(identities)} train identities were held out as val"
    )
    return replace(annotations, records=moved, notes=(*annotations.notes, note))


def _join_entries(annotations: Annotations) -> Annotations:
    """One record for each image of an identity in a split, with the captions of all its entries.

    Some copies of a dataset have one entry per caption. Each entry would be an image of the gallery.
    """
    captions: dict[tuple[str, int, str], dict[str, None]] = {}
    for record in annotations.records:
        captions.setdefault((record.image, record.identity, record.split), {}).update(dict.fromkeys(record.captions))
    entries, images = len(annotations.records), len(captions)
    if images == entries:
        return annotations
    records = tuple(
        Record(image, tuple(texts), identity, split) for (image, identity, split), texts in captions.items()
    )
    note = f"{entries:,} entries describe {images:,} images; the entries of one image were joined"
    return replace(annotations, records=records, notes=(*annotations.notes, note))

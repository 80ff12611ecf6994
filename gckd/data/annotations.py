"""Annotations of a dataset on disk: found in one of the layouts, read by the format's reader, and checked.

No image is opened here; the store and `gckd data check` do that.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from gckd.data.caption_check import examples
from gckd.data.identities import MAX_IDENTITY, number_identities
from gckd.data.image_paths import is_inside, relative_to_images
from gckd.data.layouts import Layout, find_layout
from gckd.data.readers import READERS, DatasetReader, JsonReader
from gckd.data.store_sums import META
from gckd.data.types import SPLITS, Annotations, Record
from gckd.errors import InputError, reason_of, unknown_choice
from gckd.printable import brief, is_text
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
        layout = find_layout(folder, formats)
        has_images = layout.images.is_dir()
    except OSError as error:  # no permission, or a name that is too long
        raise InputError(f"dataset {brief(spec, 200)}: cannot be read ({reason_of(error)})") from error
    reader = READERS[layout.format]
    if not has_images:
        raise InputError(f"{layout.file}: the image folder {layout.images} is missing")
    annotations = _join_entries(_read_layout(layout, reader))
    if reader.val_from_train and not any(record.split == "val" for record in annotations.records):
        annotations = _hold_out_val(annotations)
    require_splits(annotations.records, layout.file)
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
        raise InputError(f"dataset {brief(spec, 200)}: no path is given; expected PATH or FORMAT:PATH")
    folder = expanded(path).resolve()
    if not folder.exists() and colon and name is None and "/" not in head:
        raise InputError(
            f"dataset {brief(spec, 200)}: {unknown_choice('format', head, READERS)}; "
            "for a format of your own, add --plugin FILE"
        )
    if folder.is_file():
        raise InputError(f"dataset {brief(spec, 200)}: is a file; give its folder, {folder.parent}")
    if not folder.is_dir():
        raise InputError(f"dataset {brief(spec, 200)}: the folder {folder} does not exist")
    if (folder / META).is_file():
        raise InputError(f"dataset {brief(spec, 200)}: is a store; give the dataset that it was made of")
    return (READERS if name is None else {name: READERS[name]}), folder


def _read_layout(layout: Layout, reader: DatasetReader) -> Annotations:
    """All records of the files of a dataset, each checked."""
    numbered, file_notes = list[tuple[Record, str]](), list[str]()
    for split, file in layout.files.items():
        records, notes_of_file = _read_records(file, reader, split)
        numbered += [(record, f"{file}: entry {number} (from 0)") for number, record in enumerate(records)]
        file_notes += notes_of_file
    for record, where in numbered:
        _check_record(record, where, reader)
    paths, notes = relative_to_images([record.image for record, _ in numbered], layout.images)
    for path, (record, where) in zip(paths, numbered, strict=True):
        if not is_inside(path):
            raise _refusal(record, where, reader, "image", f"a path inside {reader.image_folder}/")
    identities, note = number_identities([record.identity for record, _ in numbered])
    records = tuple(
        # Equivalent spellings of one path, "./a.png" for example, become one.
        replace(record, image=str(PurePosixPath(path)), identity=identity)
        for (record, _), path, identity in zip(numbered, paths, identities, strict=True)
    )
    description = f"read as {layout.format}, {layout.description}" if layout.description else ""
    notes = [text for text in (description, *file_notes, *notes, note) if text]
    images = layout.images.resolve()
    return Annotations(layout.format, layout.name, layout.folder, layout.file, images, records, tuple(notes))


def _read_records(file: Path, reader: DatasetReader, split: str) -> tuple[tuple[Record, ...], tuple[str, ...]]:
    """Records of one file, which has one split, or all with ""; and the reader's notes."""
    try:
        if isinstance(reader, JsonReader):
            return tuple(reader.read_split(file, split)), ()
        records, notes = reader.read_with_notes(file)
        return tuple(records), notes
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({reason_of(error)})") from error
    except ValueError as error:
        raise InputError(f"{file}: not in the expected format ({reason_of(error)})") from error


def _check_record(record: Record, where: str, reader: DatasetReader) -> None:
    """Check the values that a reader took from a file; their types are not yet certain.

    Raises:
        InputError: the first unusable value, by the name of its field in the file.
    """
    identity: Any = record.identity
    is_number = isinstance(identity, int) and not isinstance(identity, bool) and abs(identity) < MAX_IDENTITY
    if not is_number and not (is_text(identity) and identity.strip()):
        raise _refusal(record, where, reader, "identity", "a 64-bit integer or a text")
    if not all(is_text(caption) for caption in record.captions):
        raise _refusal(record, where, reader, "captions", "a list of texts")
    if record.split not in SPLITS:
        raise _refusal(record, where, reader, "split", f"one of {', '.join(SPLITS)}")
    if not is_text(record.image):
        raise _refusal(record, where, reader, "image", f"a path inside {reader.image_folder}/")


def _refusal(record: Record, where: str, reader: DatasetReader, field: str, expected: str) -> InputError:
    value = brief(getattr(record, field))
    return InputError(f"{where}: {reader.field_names.get(field, field)!r} is {value}; expected {expected}")


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

    Some copies of a dataset have one entry per caption. Each entry would be an image of the gallery. Equal captions of
    an image are then kept, as in one entry; of entries with several captions, each caption is kept once. An image with
    several identities has a record, and so a place in the gallery, for each.
    """
    captions: dict[tuple[str, int, str], list[tuple[str, ...]]] = {}
    for record in annotations.records:
        captions.setdefault((record.image, record.identity, record.split), []).append(record.captions)
    identities = Counter((image, split) for image, _, split in captions)
    entries, images, notes = len(annotations.records), len(identities), []
    if len(captions) < entries:
        notes.append(f"{entries:,} entries describe {images:,} images; the entries of one image were joined")
    if several := [image for (image, _), count in identities.items() if count > 1]:
        listed = f"{len(several):,} images have several identities, and are in their split once for each"
        notes.append(f"{listed}: {examples(several)}")
    if not notes:
        return annotations
    records = tuple(
        Record(image, _joined(parts), identity, split) for (image, identity, split), parts in captions.items()
    )
    return replace(annotations, records=records, notes=(*annotations.notes, *notes))


def _joined(parts: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Captions of an image's entries."""
    texts = [text for part in parts for text in part]
    one_per_entry = all(len(part) <= 1 for part in parts)
    return tuple(texts if one_per_entry or len(parts) == 1 else dict.fromkeys(texts))

"""Readers of the real datasets as they lie on disk. Images are not opened here: the store and the check do that."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from gckd.data.formats import FORMATS, Format
from gckd.data.types import SPLITS, Annotations, Record
from gckd.errors import InputError, reason_of

IMAGE_FOLDER = "imgs"
VAL_SHARE = 0.08  # share of the train identities that become val where a dataset has none


def read_annotations(spec: str) -> Annotations:
    """The dataset at `spec`, with absolute paths.

    Args:
        spec: `PATH` or `FORMAT:PATH`; PATH is the dataset's folder, or a folder that contains exactly one dataset.

    Raises:
        InputError: no such folder; no or several annotation files; broken JSON; an entry with a missing or unusable
            field; an image path that leaves the image folder; an empty split.
    """
    try:
        wanted, folder = _parse_spec(spec)
        layout, file = _find(folder, wanted)
    except OSError as error:  # no permission, a name that is too long
        raise InputError(f"dataset {spec!r}: cannot be read ({reason_of(error)})") from error
    images = file.parent / IMAGE_FOLDER
    if not images.is_dir():
        raise InputError(f"{file}: the image folder beside it is missing: {images}")
    entries = _load(file)
    records = tuple(_record(entry, f"{file}: entry {i} (from 0)", layout) for i, entry in enumerate(entries))
    notes: tuple[str, ...] = ()
    if not layout.has_val and not any(r.split == "val" for r in records):
        records, note = _hold_out(records, layout)
        notes = (note,)
    require_splits(records, file)
    return Annotations(layout.name, file, images.resolve(), records, notes)


def require_splits(records: tuple[Record, ...], file: Path) -> None:
    """Refuses a dataset with a split that has no images or no captions.

    Raises:
        InputError: naming the file and the split.
    """
    for split in SPLITS:
        members = [r for r in records if r.split == split]
        if not members:
            raise InputError(f"{file}: the split {split!r} is empty (at least 1 image is needed)")
        if not any(caption.strip() for r in members for caption in r.captions):
            raise InputError(f"{file}: the split {split!r} has {len(members)} images without one caption")


def _parse_spec(spec: str) -> tuple[Format | None, Path]:
    head, colon, tail = spec.partition(":")
    wanted = FORMATS.get(head.lower()) if colon else None
    path = tail if wanted else spec
    if not path.strip() or "\0" in path:
        raise InputError(f"dataset {spec!r}: no path given; expected PATH or FORMAT:PATH")
    folder = Path(path).expanduser().resolve()
    if not folder.exists() and colon and not wanted and "/" not in head:
        raise InputError(f"dataset {spec!r}: {head!r} is not one of {', '.join(FORMATS)}")
    if not folder.is_dir():
        raise InputError(f"dataset {spec!r}: there is no folder {folder}")
    return wanted, folder


def _find(folder: Path, wanted: Format | None) -> tuple[Format, Path]:
    """The one annotation file in `folder`, or, where it has none, in its immediate sub-folders."""
    layouts = (wanted,) if wanted else tuple(FORMATS.values())
    places = [[folder], sorted(p for p in folder.iterdir() if p.is_dir() and p.name != IMAGE_FOLDER)]
    for level in places:
        found = [(f, p / name) for p in level for f in layouts for name in f.files if (p / name).is_file()]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(str(file.relative_to(folder)) for _, file in found)
            raise InputError(f"{folder}: {len(found)} annotation files ({names}); name one dataset, or FORMAT:PATH")
    names = ", ".join(name for f in layouts for name in f.files)
    raise InputError(f"{folder}: no annotation file in it or in its sub-folders (expected one of {names})")


def _load(file: Path) -> list[Any]:
    try:
        entries = json.loads(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({reason_of(error)})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: broken JSON ({error})") from error
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{file}: expected a JSON list of at least 1 entry, found {_brief(entries)}")
    return entries


def _record(entry: Any, where: str, layout: Format) -> Record:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: expected an object, found {_brief(entry)}")
    for name in ("id", layout.path_field, "captions", "split"):
        if name not in entry:
            present = ", ".join(map(str, entry)) or "none"
            raise InputError(f"{where}: the field {name!r} of {layout.name} is missing (fields: {present})")
    identity, path, captions, split = (entry[k] for k in ("id", layout.path_field, "captions", "split"))
    if not isinstance(identity, int) or isinstance(identity, bool) or abs(identity) >= 2**63:
        raise InputError(f"{where}: 'id' is {_brief(identity)}, not a 64-bit whole number")
    if not isinstance(captions, list) or not all(_is_text(c) for c in captions):
        raise InputError(f"{where}: 'captions' is {_brief(captions)}, not a list of texts")
    if split not in SPLITS:
        raise InputError(f"{where}: 'split' is {_brief(split)}, not one of {', '.join(SPLITS)}")
    if not _is_text(path) or not _is_inside(path):
        raise InputError(f"{where}: {layout.path_field!r} is {_brief(path)}, not a path inside {IMAGE_FOLDER}/")
    return Record(str(PurePosixPath(path)), tuple(captions), identity, split)


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


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _hold_out(records: tuple[Record, ...], layout: Format) -> tuple[tuple[Record, ...], str]:
    """Moves a share of the train identities to val; which ones depends on the identity numbers alone."""
    identities = {r.identity for r in records if r.split == "train"}
    ranked = sorted(identities, key=lambda i: hashlib.sha256(str(i).encode()).digest())
    held = set(ranked[: max(1, round(VAL_SHARE * len(ranked)))]) if len(ranked) > 1 else set()
    moved = tuple(replace(r, split="val") if r.split == "train" and r.identity in held else r for r in records)
    note = f"{layout.name} has no val split: {len(held)} of {len(identities)} train identities were held out as val"
    return moved, note

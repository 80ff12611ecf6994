"""Lines of captions.csv and captions.jsonl, with the columns image, caption, identity and split."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gckd.data.identities import MAX_IDENTITY
from gckd.data.types import SPLITS
from gckd.errors import InputError
from gckd.printable import brief, is_text, shortened
from gckd.storage.json_text import JsonError, load_json
from gckd.storage.text_file import read_bytes

MAX_BYTES = 2**30  # of a file
COLUMNS = ("image", "caption", "identity", "split")
_TOO_MANY_CELLS = "quote a caption that contains commas"


class CaptionLine(NamedTuple):
    """One line of a file. Its values have been checked one by one."""

    number: int  # from 1
    image: str  # path as written
    captions: tuple[str, ...]  # none where the caption is empty
    identity: int | str | None
    split: str | None


class CaptionFile(NamedTuple):
    """All lines of a file, and the names of columns that are not read."""

    lines: list[CaptionLine]
    ignored: list[str]


def read_caption_lines(file: Path) -> CaptionFile:
    """Read captions.csv, or captions.jsonl by its suffix.

    Raises:
        InputError: naming the line and the column; or the file cannot be read, or is larger than `MAX_BYTES`.
    """
    text = _decoded(file)
    entries = list(_json_entries(file, text) if file.suffix == ".jsonl" else _csv_entries(file, text))
    names = dict.fromkeys(name for _, entry in entries for name in entry if name not in COLUMNS)
    lines = [_checked(file, number, entry) for number, entry in entries]
    if not lines:
        raise InputError(f"{file}: has no line with an image; expected one line for each caption")
    return CaptionFile(lines, list(names))


def cell(file: Path, number: int, column: str) -> str:
    """Name of a place in a file, with which its errors begin."""
    return f"{file}, line {number}, column {column!r}"


def _decoded(file: Path) -> str:
    content = read_bytes(file, MAX_BYTES)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{file}, line {line}: is not UTF-8; save the file with the encoding UTF-8") from error


def _csv_entries(file: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = _csv_rows(file, text)
    first, header = next(rows, (1, []))
    header = [name.strip() for name in header]
    _check_names(file, first, header)
    if len(set(header)) < len(header):
        raise InputError(
            f"{file}, line {first}: two columns have one name ({shortened(', '.join(header))}); rename one"
        )
    for number, cells in rows:
        if len(cells) != len(header):
            remedy = _TOO_MANY_CELLS if len(cells) > len(header) else "an empty cell needs its comma too"
            raise InputError(f"{file}, line {number}: {len(cells)} cells for {len(header)} columns; {remedy}")
        yield number, dict(zip(header, cells, strict=True))


def _csv_rows(file: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Cells of each row that is not blank, and the number of its first line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    number = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{file}, line {number}: broken CSV ({error}); check the quotes of this line") from error
        if cells is None:
            return
        if any(value.strip() for value in cells):
            yield number, cells
        number = reader.line_num + 1


def _json_entries(file: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = load_json(line.encode())
        except JsonError as error:
            raise InputError(f"{file}, line {number}: {error}; expected one object on each line") from error
        if not isinstance(entry, dict):
            raise InputError(f"{file}, line {number}: expected an object, got {brief(entry)}")
        _check_names(file, number, entry)
        yield number, entry


def _check_names(file: Path, number: int, names: Collection[str]) -> None:
    """Check that the required columns are present, and that no other name is a misspelt column."""
    for name in names:
        close = difflib.get_close_matches(shortened(name).lower(), COLUMNS, 1, cutoff=0.75)
        if name not in COLUMNS and close:
            raise InputError(f"{file}, line {number}: unknown column {brief(name)}; did you mean {close[0]!r}?")
    for required in ("image", "caption"):
        if required not in names:
            present = shortened(", ".join(map(repr, names)) or "none")
            separators = any(mark in name for name in names for mark in ";\t") and len(names) == 1
            remedy = "separate columns by commas" if separators else f"columns present: {present}"
            raise InputError(f"{file}, line {number}: no column {required!r}; {remedy}")


def _checked(file: Path, number: int, entry: Mapping[str, Any]) -> CaptionLine:
    def refuse(column: str, expected: str) -> InputError:
        return InputError(f"{cell(file, number, column)}: {brief(entry.get(column))}; expected {expected}")

    image, captions = entry["image"], entry["caption"]
    if not is_text(image) or not image.strip():
        raise refuse("image", "the path of an image")
    captions = [] if captions is None else captions if isinstance(captions, list) else [captions]
    if not all(map(is_text, captions)):
        raise refuse("caption", "a text")
    identity, split = (None if value == "" else value for value in (_stripped(entry, name) for name in COLUMNS[2:]))
    is_number = isinstance(identity, int) and not isinstance(identity, bool) and abs(identity) < MAX_IDENTITY
    if not (identity is None or is_number or is_text(identity)):
        raise refuse("identity", "a text or a 64-bit integer")
    if split is not None and split not in SPLITS:
        raise refuse("split", f"one of {', '.join(SPLITS)}")
    return CaptionLine(number, image.strip(), tuple(text for text in captions if text.strip()), identity, split)


def _stripped(entry: Mapping[str, Any], column: str) -> Any:
    value = entry.get(column)
    return value.strip() if isinstance(value, str) else value

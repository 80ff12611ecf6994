"""A contact sheet of a street, to judge by eye whether persons, words and the gap between domains are right."""

import json
import textwrap
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from gckd.data.street.domains import DOMAINS
from gckd.data.street.people import population
from gckd.data.street.render import render

_ZOOM = 2
_CELL_W, _CELL_H = 64 * _ZOOM, 128 * _ZOOM
_TEXT_W = 680  # pixels beside five images
_SHOWN = 3  # identities a domain
_COLUMNS = 10  # persons in the strip
_INK, _PAPER = (20, 20, 20), (255, 255, 255)


def _label(draw: ImageDraw.ImageDraw, x: int, y: int, text: str, width: int, size: int = 12) -> int:
    """Black text from (x, y) down, wrapped to `width` pixels; returns the y below it."""
    font = ImageFont.load_default(size)
    for line in textwrap.wrap(text, int(width / (size * 0.52))):
        draw.text((x, y), line, fill=_INK, font=font)
        y += size + 3
    return y


def _row(folder: Path, path_field: str, entries: list[dict[str, Any]]) -> Image.Image:
    """The images of one identity side by side, and right of them what was written about each, as far as it fits."""
    row = Image.new("RGB", (5 * _CELL_W + _TEXT_W, _CELL_H), _PAPER)
    draw = ImageDraw.Draw(row)
    left = len(entries) * _CELL_W + 8
    y = 0
    for i, entry in enumerate(entries):
        with Image.open(folder / "imgs" / entry[path_field]) as picture:
            row.paste(picture.resize((_CELL_W, _CELL_H), Image.Resampling.NEAREST), (i * _CELL_W, 0))
        for caption in entry["captions"]:
            if y <= _CELL_H - 32:  # room for two lines
                y = _label(draw, left, y + 2, f"{i + 1}: {caption}", row.width - left)
    return row


def _block(root: Path, name: str) -> list[Image.Image]:
    """The rows of a domain: its first test identities."""
    domain = DOMAINS[name]
    entries = json.loads((root / name / domain.json_name).read_text(encoding="utf-8"))
    ids = sorted({entry["id"] for entry in entries if entry["split"] == "test"})[:_SHOWN]
    return [_row(root / name, domain.path_field, [e for e in entries if e["id"] == i]) for i in ids]


def _strip(seed: int, shift: float) -> Image.Image:
    """The same persons (columns) as each domain (rows) shows them, with each domain's words for the first."""
    people = population(seed, shift, _COLUMNS)["RSTPReid"]
    strip = Image.new("RGB", (_COLUMNS * _CELL_W, len(DOMAINS) * (_CELL_H + 20)), _PAPER)
    draw = ImageDraw.Draw(strip)
    for r, name in enumerate(DOMAINS):
        top = r * (_CELL_H + 20)
        for c, person in enumerate(people):
            shot = render(person, name, c, 0, seed=seed, shift=shift)
            strip.paste(shot.picture.resize((_CELL_W, _CELL_H), Image.Resampling.NEAREST), (c * _CELL_W, top + 18))
            if c == 0:
                _label(draw, 2, top + 1, f"{name}: {shot.captions[0]}", 10 * strip.width)
    return strip


def contact_sheet(root: Path, path: Path) -> None:
    """Writes a PNG at `path`: some test identities of each domain of the street at `root` with their captions, then
    the same persons in all three domains at the street's shift."""
    note = json.loads((root / "street.json").read_text(encoding="utf-8"))
    blocks: list[tuple[str, list[Image.Image]]] = [(name, _block(root, name)) for name in note["domains"]]
    blocks.append((f"the same persons in every domain at shift {note['shift']}", [_strip(note["seed"], note["shift"])]))
    width = max(row.width for _, rows in blocks for row in rows)
    height = sum(26 + sum(row.height + 6 for row in rows) for _, rows in blocks)
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    y = 0
    for title, rows in blocks:
        _label(draw, 4, y + 4, title, width, size=16)
        y += 26
        for row in rows:
            sheet.paste(row, (0, y))
            y += row.height + 6
    sheet.save(path)

"""Contact sheet of a street, to inspect persons, captions and the gap between domains by eye."""

import json
import os
import textwrap
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from gckd.data.street.arguments import METADATA
from gckd.data.street.domains import DOMAINS
from gckd.data.street.population import population
from gckd.data.street.shot import render
from gckd.storage import atomic

_ZOOM = 2
_CELL_W, _CELL_H = 64 * _ZOOM, 128 * _ZOOM
_TEXT_W = 680  # width of the captions, in pixels, beside five images
_SHOWN = 3  # identities per domain
_COLUMNS = 10  # persons in the comparison of domains
_INK, _PAPER = (20, 20, 20), (255, 255, 255)


def _label(draw: ImageDraw.ImageDraw, x: int, y: int, text: str, width: int, size: int = 12) -> int:
    """Draw text wrapped to `width` pixels below (x, y), and return the y below the text."""
    font = ImageFont.load_default(size)
    for line in textwrap.wrap(text, int(width / (size * 0.52))):
        draw.text((x, y), line, fill=_INK, font=font)
        y += size + 3
    return y


def _row(folder: Path, path_field: str, entries: list[dict[str, Any]]) -> Image.Image:
    """Images of one identity side by side, and to their right as many of their captions as fit."""
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


def _domain_rows(root: Path, name: str) -> list[Image.Image]:
    """Rows of the first test identities of a domain."""
    domain = DOMAINS[name]
    entries = json.loads((root / name / domain.json_name).read_text(encoding="utf-8"))
    ids = sorted({entry["id"] for entry in entries if entry["split"] == "test"})[:_SHOWN]
    return [_row(root / name, domain.path_field, [e for e in entries if e["id"] == i]) for i in ids]


def _strip(seed: int, shift: float) -> Image.Image:
    """The same persons (columns) in each domain (rows), with a caption of the first person in each domain."""
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


def contact_sheet(root: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Write a contact sheet as PNG.

    It shows some test identities of each domain with their captions, then the same persons in all three domains.

    Args:
        root: folder of a street.
        path: the PNG file.

    Raises:
        OSError: the street cannot be read, or the file cannot be written.
    """
    root, path = Path(root), Path(path)
    metadata = json.loads((root / METADATA).read_text(encoding="utf-8"))
    blocks: list[tuple[str, list[Image.Image]]] = [(name, _domain_rows(root, name)) for name in metadata["domains"]]
    blocks.append(
        (
            f"the same persons in every domain at shift {metadata['shift']}",
            [_strip(metadata["seed"], metadata["shift"])],
        )
    )
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
    with atomic.writing(path) as file:
        sheet.save(file, "PNG")

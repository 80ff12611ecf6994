"""Image sheet: one row of images for each query text, with their ranks, scores and paths."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageOps

from gckd.data.images import thumbnail
from gckd.errors import InputError, reason_of
from gckd.printable import printable
from gckd.storage import atomic

_IMAGE_WIDTH, _IMAGE_HEIGHT = 144, 240  # largest size of an image, in pixels
_GAP = 12  # between images, and around the sheet
_LINE = 20  # height of a line of text
_LABEL = 2 * _LINE + _GAP  # rank and score, then the path
_MIN_COLUMNS = 5  # so that a text has room above few images
_SMALL, _LARGE = 12, 16  # font sizes
_GREY = (90, 90, 90)


class SheetImage(NamedTuple):
    """One image of a row."""

    encoded: bytes
    rank: int
    score: float
    path: str


class SheetRow(NamedTuple):
    """A query text and its images, best match first."""

    text: str
    images: Sequence[SheetImage]


def draw_sheet(file: Path, rows: Sequence[SheetRow]) -> None:
    """Write a PNG with one row for each query.

    Raises:
        InputError: `file` cannot be written, or an image cannot be read.
    """
    columns = max(_MIN_COLUMNS, *(len(row.images) for row in rows))
    width = _GAP + columns * (_IMAGE_WIDTH + _GAP)
    texts = [_wrapped(row.text, width - 2 * _GAP) for row in rows]
    heights = [_GAP + len(lines) * (_LINE + 4) + _IMAGE_HEIGHT + _LABEL for lines in texts]
    sheet = Image.new("RGB", (width, sum(heights) + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    top = 0
    for row, lines, height in zip(rows, texts, heights, strict=True):
        y = top + _GAP
        for line in lines:
            draw.text((_GAP, y), line, fill="black", font=_font(_LARGE))
            y += _LINE + 4
        for column, image in enumerate(row.images):
            _draw_image(sheet, image, _GAP + column * (_IMAGE_WIDTH + _GAP), y)
        top += height
    try:
        with atomic.writing(file) as partial:
            sheet.save(partial, "PNG")
    except OSError as error:
        raise InputError(f"--sheet {file}: cannot be written ({reason_of(error)})") from error


def _draw_image(sheet: Image.Image, image: SheetImage, x: int, y: int) -> None:
    """Draw an image with its label below; images of a row stand on one line."""
    draw = ImageDraw.Draw(sheet)
    with Image.open(io.BytesIO(thumbnail(image.encoded, _IMAGE_WIDTH, _IMAGE_HEIGHT))) as picture:
        fitted = ImageOps.contain(picture, (_IMAGE_WIDTH, _IMAGE_HEIGHT))  # small images are enlarged
    sheet.paste(fitted, (x, y + _IMAGE_HEIGHT - fitted.height))
    label = y + _IMAGE_HEIGHT + 4
    draw.text((x, label), f"{image.rank}.  {image.score:.3f}", fill="black", font=_font(_SMALL))
    draw.text((x, label + _LINE - 4), _end_of(printable(image.path), _IMAGE_WIDTH), fill=_GREY, font=_font(_SMALL))


def _end_of(path: str, width: int) -> str:
    """A path, or its last characters that fit into `width` pixels."""
    if _font(_SMALL).getlength(path) <= width:
        return path
    start = next(i for i in range(1, len(path) + 1) if _font(_SMALL).getlength(f"...{path[i:]}") <= width)
    return f"...{path[start:]}"


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of a text that fit into `width` pixels, broken between words."""
    lines = [""]
    for word in printable(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _font(_LARGE).getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)

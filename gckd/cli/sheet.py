"""A sheet of found images, to look at."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from gckd.data.images import thumbnail
from gckd.errors import InputError, reason_of

_WIDTH, _HEIGHT, _LINE = 128, 256, 22  # pixels of an image, at most, and of the text above a row of them


def draw_sheet(file: Path, rows: Sequence[tuple[str, Sequence[bytes]]]) -> None:
    """Writes a PNG: below each text its images (encoded), the best on the left.

    Raises:
        InputError: it cannot be written.
    """
    widest = max(len(images) for _, images in rows)
    sheet = Image.new("RGB", (max(6, widest) * _WIDTH, len(rows) * (_HEIGHT + _LINE)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for number, (text, images) in enumerate(rows):
        top = number * (_HEIGHT + _LINE)
        draw.text((4, top + 2), text, fill="black", font=font)
        for place, encoded in enumerate(images):
            with Image.open(io.BytesIO(thumbnail(encoded, _WIDTH, _HEIGHT))) as picture:
                sheet.paste(picture, (place * _WIDTH, top + _LINE))
    try:
        sheet.save(file, "PNG")
    except OSError as error:
        raise InputError(f"--sheet {file}: cannot be written ({reason_of(error)})") from error

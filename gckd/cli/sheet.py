"""Image sheet: one row of retrieved images below each query text."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from gckd.data.images import thumbnail
from gckd.errors import InputError, reason_of
from gckd.storage import atomic

_IMAGE_WIDTH, _IMAGE_HEIGHT = 128, 256  # largest size of an image, in pixels
_TEXT_HEIGHT = 22  # of the text above a row of images, in pixels
_MIN_COLUMNS = 6  # so that a text has room above few images


def draw_sheet(file: Path, rows: Sequence[tuple[str, Sequence[bytes]]]) -> None:
    """Write a PNG with one row per query.

    Args:
        file: path of the PNG.
        rows: query text and its images (encoded), best match first.

    Raises:
        InputError: `file` cannot be written.
    """
    columns = max(_MIN_COLUMNS, *(len(images) for _, images in rows))
    sheet = Image.new("RGB", (columns * _IMAGE_WIDTH, len(rows) * (_IMAGE_HEIGHT + _TEXT_HEIGHT)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for number, (text, images) in enumerate(rows):
        top = number * (_IMAGE_HEIGHT + _TEXT_HEIGHT)
        draw.text((4, top + 2), text, fill="black", font=font)
        for column, encoded in enumerate(images):
            with Image.open(io.BytesIO(thumbnail(encoded, _IMAGE_WIDTH, _IMAGE_HEIGHT))) as picture:
                sheet.paste(picture, (column * _IMAGE_WIDTH, top + _TEXT_HEIGHT))
    try:
        with atomic.writing(file) as partial:
            sheet.save(partial, "PNG")
    except OSError as error:
        raise InputError(f"--sheet {file}: cannot be written ({reason_of(error)})") from error

"""RGB pixels of a picture: turned upright, transparency over white, 16 bits scaled to 8; unknown ranges are refused."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TiffImageFile

_WHITE_16 = 65535
_SIGNED, _WHITE_IS_ZERO = 2, 0  # values of tags of TIFF


def rgb_picture(picture: Image.Image) -> Image.Image:
    """RGB picture, rotated as its EXIF orientation says; transparent pixels are blended with white.

    Raises:
        ValueError: pixels whose white has no fixed value, or whose values Pillow would take for others.
    """
    if isinstance(picture, TiffImageFile):
        _check_tags(picture)
    return _flattened(ImageOps.exif_transpose(picture))


def _check_tags(picture: TiffImageFile) -> None:
    """Refuse grey values that Pillow reads without their tags: signed, of 12 bits, or of 16 bits with 0 for white."""
    tags = picture.tag_v2
    kinds = {
        "signed": picture.mode == "L" and _SIGNED in tags.get(SAMPLEFORMAT, ()),
        "12-bit": 12 in tags.get(BITSPERSAMPLE, ()),
        "16-bit white-is-zero": picture.mode.startswith("I;16")
        and tags.get(PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO,
    }
    if kind := next((kind for kind, is_so in kinds.items() if is_so), ""):
        raise ValueError(f"{kind} pixels are not read; convert the image to unsigned 8 or 16 bits, with 0 for black")


def _flattened(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PNG"):
        values = np.asarray(picture).astype(np.float64)  # Pillow's own conversion clips them at 255
        if isinstance(transparent := picture.info.get("transparency"), int):
            values[values == transparent] = _WHITE_16
        return Image.fromarray(np.round(values * (255 / _WHITE_16)).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        kind = "32-bit grey" if picture.mode == "I" else "floating-point"
        raise ValueError(f"{kind} pixels have no fixed range; convert the image to 8 or 16 bits")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")

"""Pixels of images with 16 bits, without a fixed range, and with an EXIF orientation."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gckd.data.images import decode, inspect

GREY = (np.arange(12, dtype=np.uint16) * 5900).reshape(3, 4)  # 0 to 64,900


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_of_16_bits_is_scaled_to_8_bits(kind: str) -> None:
    pixels = decode(encoded(Image.fromarray(GREY), kind), 3, 4)
    expected = [[round(value / 257) for value in row] for row in GREY.tolist()]
    assert [channel.tolist() for channel in pixels] == [expected] * 3


@pytest.mark.parametrize(("dtype", "kind"), [(np.int32, "32-bit grey"), (np.float32, "floating-point")])
def test_pixels_without_a_fixed_range_are_refused(tmp_path: Path, dtype: Any, kind: str) -> None:
    (tmp_path / "a.tif").write_bytes(encoded(Image.fromarray(GREY.astype(dtype)), "TIFF"))
    assert f"{kind} pixels have no fixed range" in inspect(tmp_path / "a.tif").problem


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_an_exif_orientation_is_applied(kind: str, orientation: int, turns: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    exif = picture.getexif()
    exif[0x112] = orientation
    expected = np.rot90(pixels, turns)
    options = {"lossless": True} if kind == "WEBP" else {}
    decoded = decode(encoded(picture, kind, exif=exif, **options), *expected.shape[:2])
    assert np.array_equal(decoded.transpose(1, 2, 0), expected)


@pytest.mark.parametrize(
    ("width", "height", "is_refused"), [(5000, 5000, False), (5001, 5000, True), (13300, 13300, True)]
)
def test_an_image_above_the_limit_of_pixels_is_refused_by_its_header(
    width: int, height: int, is_refused: bool, tmp_path: Path
) -> None:
    """The file has no pixels, so that decoding it would give another problem."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + struct.pack(">I", 100) + b"IDAT"
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    problem = inspect(tmp_path / "a.png").problem
    assert problem.startswith("broken image (")
    assert (f"{width} x {height} pixels; the limit is 25,000,000 pixels" in problem) == is_refused

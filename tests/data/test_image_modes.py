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

from gckd.data.images import decode, inspect, resized

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


def tiff(data: bytes, bits: int, *, white_is_zero: bool = False, signed: bool = False) -> bytes:
    """Grey TIFF of 4 x 3 pixels without compression, by its tags."""
    tags = {256: 4, 257: 3, 258: bits, 259: 1, 262: 0 if white_is_zero else 1, 273: 146, 277: 1, 278: 3}
    tags |= {279: len(data), 284: 1, 339: 2 if signed else 1}
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data


@pytest.mark.parametrize(
    ("data", "options", "problem"),
    [
        ((65535 - GREY).tobytes(), {"bits": 16, "white_is_zero": True}, "16-bit white-is-zero pixels are not read"),
        (b"\x7f\xf7\xff" * 6, {"bits": 12}, "12-bit pixels are not read"),
        (bytes(12), {"bits": 8, "signed": True}, "signed pixels are not read"),
        ((255 - GREY // 257).astype(np.uint8).tobytes(), {"bits": 8, "white_is_zero": True}, ""),
        (GREY.tobytes(), {"bits": 16}, ""),
    ],
)
def test_a_tiff_is_read_by_its_tags_or_refused(
    tmp_path: Path, data: bytes, options: dict[str, Any], problem: str
) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(data, **options))
    assert problem in inspect(tmp_path / "a.tif").problem
    if not problem:
        pixels = decode((tmp_path / "a.tif").read_bytes(), 3, 4)
        assert np.abs(pixels.astype(int) - GREY // 257).max() <= 1


def test_a_transparent_value_of_16_bits_becomes_white() -> None:
    chunk = b"tRNS" + struct.pack(">H", 5900)
    content = encoded(Image.fromarray(GREY), "PNG")
    start = content.index(b"IDAT") - 4
    content = content[:start] + struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[start:]
    expected = [[255 if value == 5900 else round(value / 257) for value in row] for row in GREY.tolist()]
    assert decode(content, 3, 4)[0].tolist() == expected


def test_a_picture_in_memory_is_turned_as_its_file() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8))
    exif = picture.getexif()
    exif[0x112] = 6
    content = encoded(picture, "PNG", exif=exif)
    assert np.array_equal(resized(Image.open(io.BytesIO(content)), 5, 3), decode(content, 5, 3))


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

"""Near copies among drawn people: copies are found, other people are not."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from gckd.data.near_copies import Picture, near_copies
from gckd.data.street import make_street

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def encoded(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def resized(picture: Image.Image, width: float, height: float) -> Image.Image:
    return picture.resize((round(picture.width * width), round(picture.height * height)))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG of quality 50": lambda picture: encoded(picture, 50),
    "JPEG of quality 10": lambda picture: encoded(picture, 10),
    "twice the size": lambda picture: resized(picture, 2, 2),
    "a third of the size": lambda picture: resized(picture, 1 / 3, 1 / 3),
    "two thirds of the height": lambda picture: resized(picture, 1, 2 / 3),
    "half the size as JPEG": lambda picture: encoded(resized(picture, 0.5, 0.5), 50),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Image.Image]:
    root: Path = tmp_path_factory.mktemp("street")
    make_street(root, ids=24, domains=("ICFG-PEDES",), workers=1)
    return [Image.open(file).convert("RGB") for file in sorted(root.rglob("*.jpg"))]


def hashed(name: str, pictures: list[Image.Image]) -> list[Picture]:
    return [Picture.of(f"{name} {number}", picture) for number, picture in enumerate(pictures)]


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_found(name: str, pictures: list[Image.Image]) -> None:
    copies = hashed(name, [COPIES[name](picture) for picture in pictures])
    pairs = set(near_copies(hashed("original", pictures), copies))
    own = {(number, number) for number in range(len(pictures))}
    assert len(pictures) > 50
    assert len(pairs & own) >= 0.9 * len(pictures)
    assert not pairs - own


def test_different_pictures_are_no_copies(pictures: list[Image.Image]) -> None:
    originals = hashed("original", pictures)
    assert not list(near_copies(originals, originals))

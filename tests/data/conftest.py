"""Small datasets in the real formats, written file by file so that a test can change any part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Entry = dict[str, Any]
MakeDataset = Callable[..., Path]
SpoilEntries = Callable[[Path, Callable[[list[Entry]], object]], Path]

LAYOUTS = {
    "cuhk-pedes": ("reid_raw.json", "file_path", 2),
    "icfg-pedes": ("ICFG-PEDES.json", "file_path", 1),
    "rstpreid": ("data_captions.json", "img_path", 2),
}
COLOURS = ("red", "green", "blue", "grey", "white", "black", "pink")


def draw(identity: int, view: int) -> Image.Image:
    """Random picture of 16 x 8 pixels, different for each identity and view."""
    seed = int.from_bytes(hashlib.sha256(f"{identity}/{view}".encode()).digest()[:4], "big")
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def caption(identity: int, view: int, number: int) -> str:
    """Caption with the identity, the view and its number in it; lengths differ."""
    colour, bag_colour = COLOURS[identity % 7], COLOURS[(identity + view + number) % 7]
    return (
        f"Person number{identity} in a {colour} coat, view{view}, with a {bag_colour} bag{number}."
        + " So it is." * (identity % 3)
    )


@pytest.fixture
def make_dataset(tmp_path: Path) -> MakeDataset:
    """Function that writes a dataset of two images per identity and returns its folder."""

    def make(layout: str = "rstpreid", folder: str = "set", first: int = 0, ids: dict[str, int] | None = None) -> Path:
        file, path_field, captions = LAYOUTS[layout]
        root = tmp_path / folder
        entries, start = [], first
        for split, count in (ids or {"train": 6, "val": 2, "test": 3}).items():
            (root / "imgs" / split).mkdir(parents=True)
            for identity in range(start, start + count):
                for view in range(2):
                    path = f"{split}/{identity:04d}_{view}.png"
                    draw(identity, view).save(root / "imgs" / path)
                    texts = [caption(identity, view, n) for n in range(captions)]
                    entries.append({"id": identity, path_field: path, "captions": texts, "split": split})
            start += count
        (root / file).write_text(json.dumps(entries))
        return root

    return make


@pytest.fixture
def spoil() -> SpoilEntries:
    """Function that changes the entries of a dataset's annotation file and returns the file."""

    def rewrite(folder: Path, change: Callable[[list[Entry]], object]) -> Path:
        (file,) = folder.glob("*.json")
        entries = json.loads(file.read_text())
        change(entries)
        file.write_text(json.dumps(entries))
        return file

    return rewrite

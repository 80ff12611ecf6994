"""Toy dataset: a few coloured images in the RSTPReid format."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

IMAGES_PER_ID = 2
IDS = {"train": 6, "val": 2, "test": 2}


def make_toy(folder: Path, *, shade: int = 0) -> Path:
    """Write the dataset. Toys with different `shade` (0 to 255) have different images."""
    entries = []
    (folder / "imgs").mkdir(parents=True)
    identity = 0
    for split, ids in IDS.items():
        for _ in range(ids):
            identity += 1
            for view in range(IMAGES_PER_ID):
                name = f"{identity:04d}_c{view}.png"
                colour = (identity * 20, view * 90, shade)
                Image.new("RGB", (8, 16), colour).save(folder / "imgs" / name)
                captions = [f"person {identity} in a coat", f"a coat on person {identity}"]
                entries.append({"id": identity, "img_path": name, "captions": captions, "split": split})
    (folder / "data_captions.json").write_text(json.dumps(entries))
    return folder


def shuffle_labels(folder: Path, splits: Sequence[str]) -> Path:
    """Shuffle identities and captions among the images of these splits. Images and captions stay the same."""
    file = folder / "data_captions.json"
    entries = json.loads(file.read_text())
    for split in splits:
        mine = [entry for entry in entries if entry["split"] == split]
        for seed, key in enumerate(("id", "captions")):
            values = [entry[key] for entry in mine]
            random.Random(seed).shuffle(values)
            for entry, value in zip(mine, values, strict=True):
                entry[key] = value
    file.write_text(json.dumps(entries))
    return folder

"""Readers of images and of stores, as `benchmarks/fuzz.py` calls them: content and scratch folder in."""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.fuzzed_texts import check_line
from benchmarks.scratch_files import Reader, bytes_of, replace_file, write_file
from gckd.data.annotations import read_annotations
from gckd.data.images import decode, inspect, thumbnail
from gckd.data.remote_store import RemoteStore, upload_store
from gckd.data.store import Store
from gckd.data.store_builder import build_store
from gckd.storage.path import StoragePath
from gckd.training.folder_index import folder_index


def images() -> list[bytes]:
    """A picture in every format that is decoded."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 6, 3), dtype=np.uint8)
    pictures = [(name, Image.fromarray(pixels)) for name in ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF")]
    pictures.append(("PNG", Image.fromarray((pixels[..., 0] * 200).astype(np.uint16))))
    return [_encoded(picture, kind) for kind, picture in pictures]


def image(content: bytes, folder: Path) -> None:
    """An image of a dataset."""
    file = write_file(folder / "a.png", content)
    inspection = inspect(file)
    check_line(inspection.problem)
    if not inspection.problem:
        decode(content, 8, 4)
        thumbnail(content, 4, 8)


def _encoded(picture: Image.Image, kind: str) -> bytes:
    return bytes_of(lambda file: picture.save(file, kind))


def _embed(files: Sequence[Path]) -> list[NDArray[np.float32] | str]:
    return [np.ones(2, np.float32) for _ in files]


def indexes(folder: Path) -> list[bytes]:
    """Index of a folder of two images."""
    (folder / "photos").mkdir()
    for name in ("a.png", "b.png"):
        write_file(folder / "photos" / name, b"")
        os.utime(folder / "photos" / name, ns=(0, 0))  # equal inputs in every process
    folder_index(folder / "index.parquet", folder / "photos", _embed)
    return [(folder / "index.parquet").read_bytes()]


def index(content: bytes, folder: Path) -> None:
    """Index of a folder of images."""
    file = write_file(folder / "index.parquet", content)
    assert folder_index(file, folder / "photos", _embed).paths == ["a.png", "b.png"]


@functools.cache
def _store(folder: Path) -> Store:
    """A built store of six images."""
    (folder / "toy" / "imgs").mkdir(parents=True)
    entries = []
    for number, split in enumerate(("train", "val", "test") * 2):
        Image.new("RGB", (4, 8), (number * 40, 0, 0)).save(folder / "toy" / "imgs" / f"{number}.png")
        entries.append({"id": number, "img_path": f"{number}.png", "captions": [f"coat {number}"], "split": split})
    write_file(folder / "toy" / "data_captions.json", json.dumps(entries).encode())
    store = build_store(read_annotations(str(folder / "toy")), folder / "cache")
    upload_store(store, StoragePath.at(folder / "uploaded"), "")
    return store


def store_seeds(name: str) -> Callable[[Path], list[bytes]]:
    """A file of a store; its folder is that of a split."""
    return lambda folder: [(_store(folder).path / "train" / name).read_bytes()]


def store(name: str) -> Reader:
    """Reader of a store in the cache, of which one file is changed."""
    return functools.partial(_changed_store, name)


def _changed_store(name: str, content: bytes, folder: Path) -> None:
    path = _store(folder).path
    file = path / "train" / name
    valid = file.read_bytes()
    try:
        replace_file(file, content)
        split = Store.open(path).labelled("train")
        split.images.decoded(8, 4)
        _ = split.caption_identities, split.captions
    finally:
        replace_file(file, valid)
        for pixels in (path / "train").glob("*.npy"):
            pixels.unlink()


def remote_store(name: str) -> Reader:
    """Reader of a store outside of the cache, of which one file is changed."""
    return functools.partial(_changed_remote_store, name)


def _changed_remote_store(name: str, content: bytes, folder: Path) -> None:
    digest = _store(folder).digest
    file = folder / "uploaded" / "train" / name
    valid = file.read_bytes()
    shutil.rmtree(folder / "other" / "stores" / digest, ignore_errors=True)
    try:
        replace_file(file, content)
        RemoteStore.open(StoragePath.at(folder / "uploaded")).download(folder / "other").labelled("train")
    finally:
        replace_file(file, valid)

"""Unusable images and captions: refused with the file's name, or left out and counted."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gckd.data.annotations import read_annotations
from gckd.data.store import Store
from gckd.data.store_builder import build_store
from gckd.errors import InputError

SPLITS = ("train", "val", "test")


def build(folder: Path, cache: Path, **options: Any) -> Store:
    return build_store(read_annotations(str(folder)), cache, **options)


def _remove(path: Path) -> None:
    path.unlink()


def _truncate(path: Path, encoding: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(noise).save(encoded, encoding)
    path.write_bytes(encoded.getvalue()[: encoded.tell() // 2])


def _truncate_png(path: Path) -> None:
    _truncate(path, "PNG")


def _truncate_jpeg(path: Path) -> None:
    _truncate(path, "JPEG")


def _replace_by_text(path: Path) -> None:
    path.write_text("text")


def _replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


BROKEN_IMAGES = [
    (_remove, "missing"),
    (_truncate_png, "broken image"),
    (_truncate_jpeg, "broken image"),
    (_replace_by_text, "not an image"),
    (_replace_by_folder, "not a file"),
    (_replace_by_pipe, "not a file"),
]


@pytest.mark.parametrize(("spoil_image", "message"), BROKEN_IMAGES)
class TestBrokenImages:
    def test_are_refused_by_name(
        self, make_dataset: Any, tmp_path: Path, spoil_image: Callable[[Path], None], message: str
    ) -> None:
        folder = make_dataset()
        path = folder / "imgs" / "train" / "0001_0.png"
        spoil_image(path)
        with pytest.raises(InputError) as refusal:
            build(folder, tmp_path / "cache")
        assert str(refusal.value).startswith(f"{path}: {message}") and "\n" not in str(refusal.value)

    def test_are_left_out_and_counted_with_skip_broken(
        self, make_dataset: Any, tmp_path: Path, spoil_image: Callable[[Path], None], message: str
    ) -> None:
        folder = make_dataset()
        spoil_image(folder / "imgs" / "train" / "0001_0.png")
        built = build(folder, tmp_path / "cache", skip_broken=True)
        assert (built.skipped, built.notes) == (1, ("1 broken images were left out",))
        assert built.counts["train"] == {"images": 11, "identities": 6, "captions": 22}
        # The store exists now; a call without skip_broken is refused all the same.
        with pytest.raises(InputError, match=message):
            build(folder, tmp_path / "cache")


def test_a_split_emptied_by_skipping_is_refused(make_dataset: Any, tmp_path: Path) -> None:
    folder = make_dataset(ids={"train": 2, "val": 1, "test": 1})
    for path in (folder / "imgs" / "val").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="the split 'val' is empty"):
        build(folder, tmp_path / "cache", skip_broken=True)


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_a_link_to_outside_the_image_folder_is_refused(make_dataset: Any, tmp_path: Path, linked: str) -> None:
    folder = make_dataset()
    inner = folder / "imgs" / "train" if linked == "folder" else folder / "imgs" / "train" / "0000_0.png"
    outside = tmp_path / "outside"
    inner.rename(outside)
    inner.symlink_to(outside)
    with pytest.raises(InputError, match="0000_0.png: symbolic link to .*, outside the image folder"):
        build(folder, tmp_path / "cache", skip_broken=True)


def test_a_link_within_the_image_folder_is_followed(make_dataset: Any, tmp_path: Path) -> None:
    folder = make_dataset()
    before = build(folder, tmp_path / "cache").digest
    path = folder / "imgs" / "train" / "0000_0.png"
    path.rename(folder / "imgs" / "moved.png")
    path.symlink_to(folder / "imgs" / "moved.png")
    assert build(folder, tmp_path / "cache").digest == before


def test_empty_captions_are_left_out_and_noted(make_dataset: Any, spoil: Any, tmp_path: Path) -> None:
    folder = make_dataset()
    spoil(folder, lambda entries: entries[0].update(captions=["  ", "a coat"]))
    spoil(folder, lambda entries: entries[1].update(captions=[]))
    built = build(folder, tmp_path / "cache")
    assert built.notes == ("1 empty captions were left out",)
    assert built.counts["train"] == {"images": 12, "identities": 6, "captions": 21}

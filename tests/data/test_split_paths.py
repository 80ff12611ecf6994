"""Paths of the images of a split, which the store does not keep."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gckd.data.datasets import find_dataset
from gckd.data.split_paths import split_paths
from gckd.storage.cache import CachePath
from tests.data.conftest import MakeDataset


def test_each_path_has_the_bytes_of_its_row(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_dataset("rstpreid")
    cache = CachePath.at(tmp_path / "cache")
    images = find_dataset(folder).open_store(tmp_path / "cache").unlabelled("train").images
    paths = split_paths(str(folder), "train", images, cache)
    assert len(set(paths)) == len(images) == 12
    assert all(Path(path).read_bytes() == images.encoded(row) for row, path in enumerate(paths))
    monkeypatch.setattr("gckd.data.split_paths._matched", lambda *_: pytest.fail("read the images again"))
    assert split_paths(str(folder), "train", images, cache) == paths


def test_a_copy_has_its_own_path(make_dataset: MakeDataset, tmp_path: Path) -> None:
    folder = make_dataset("rstpreid")
    shutil.copyfile(folder / "imgs/train/0000_0.png", folder / "imgs/train/0001_0.png")
    images = find_dataset(folder).open_store(tmp_path / "cache").unlabelled("train").images
    paths = split_paths(str(folder), "train", images, CachePath.at(tmp_path / "cache"))
    assert len(set(paths)) == len(images)


def test_a_store_without_a_folder_names_its_rows(make_dataset: MakeDataset, tmp_path: Path) -> None:
    store = find_dataset(make_dataset("rstpreid")).open_store(tmp_path / "cache")
    images = store.unlabelled("val").images
    cache = CachePath.at(tmp_path / "cache")
    assert split_paths(str(store.path), "val", images, cache) == [f"val/{row}" for row in range(4)]

"""Index of a folder of images: reused where nothing changed, refreshed where images did."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from gckd.errors import InputError
from gckd.training.folder_index import Embeddings, FolderIndex, folder_index
from tests.data.conftest import draw


class Embedder:
    """Embeds a file as the sums of its bytes, and records the names of the files that it reads."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, files: Sequence[Path]) -> list[Embeddings | str]:
        self.names = [file.name for file in files]
        return ["not an image" if b"broken" in file.read_bytes() else self.expected(file) for file in files]

    @staticmethod
    def expected(file: Path) -> Embeddings:
        content = np.frombuffer(file.read_bytes(), np.uint8)
        return np.array([content.sum(), len(content)], np.float32)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for number, name in enumerate(("b.png", "sub/a.PNG", "c.png")):
        draw(number, 0).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"broken")
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"")
    os.mkfifo(folder / "pipe.png")
    (folder / "link.png").symlink_to("nowhere.png")
    return folder


def indexed(photos: Path, embedder: Embedder) -> FolderIndex:
    """The index, whose embeddings are those of the present files."""
    index = folder_index(photos.parent / "index.parquet", photos, embedder)
    expected = [Embedder.expected(photos / path) for path in index.paths]
    np.testing.assert_array_equal(index.embeddings, np.stack(expected))
    return index


def test_an_unchanged_folder_is_not_embedded_again(photos: Path) -> None:
    embedder = Embedder()
    first = indexed(photos, embedder)
    assert first.paths == ["b.png", "c.png", "sub/a.PNG"] and first.unusable == {"broken.jpg": "not an image"}
    assert (first.computed, first.removed) == (3, 0)
    second = indexed(photos, embedder)
    assert embedder.names == ["broken.jpg"]
    assert (second.paths, second.computed, second.removed) == (first.paths, 0, 0)
    assert second.notes() == (
        "index: 3 images unchanged, 0 embedded, 0 removed",
        "1 files cannot be read and are left out: broken.jpg (not an image)",
    )


def test_new_changed_and_removed_images_are_noticed(photos: Path) -> None:
    embedder = Embedder()
    indexed(photos, embedder)
    draw(9, 9).save(photos / "new.png")
    draw(8, 8).save(photos / "b.png")
    os.utime(photos / "b.png", ns=(1, 1))
    (photos / "c.png").unlink()
    index = indexed(photos, embedder)
    assert embedder.names == ["b.png", "broken.jpg", "new.png"]
    assert (index.paths, index.computed, index.removed) == (["b.png", "new.png", "sub/a.PNG"], 2, 1)
    (photos / "new.png").unlink()
    assert indexed(photos, embedder).removed == 1
    assert indexed(photos, embedder).removed == 0


@pytest.mark.parametrize("content", [b"", b"PAR1 damaged"])
def test_a_damaged_index_is_made_again(photos: Path, content: bytes) -> None:
    embedder = Embedder()
    indexed(photos, embedder)
    (photos.parent / "index.parquet").write_bytes(content)
    assert indexed(photos, embedder).computed == 3


def test_folders_without_usable_images_are_refused(photos: Path, tmp_path: Path) -> None:
    for file in ("b.png", "c.png", "sub/a.PNG"):
        (photos / file).unlink()
    with pytest.raises(InputError, match=r"none of its 1 images can be read; broken.jpg: not an image"):
        indexed(photos, Embedder())
    (photos / "broken.jpg").unlink()
    with pytest.raises(InputError, match=r"photos: has no images \(.png, .jpg"):
        indexed(photos, Embedder())
    with pytest.raises(InputError, match="nowhere: the folder does not exist"):
        folder_index(tmp_path / "index.parquet", tmp_path / "nowhere", Embedder())

"""Splits: labels of an unlabelled split are unreachable, and pixels are decoded once."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gckd.data import splits
from gckd.data.annotations import read_annotations
from gckd.data.splits import UnlabelledSplit
from gckd.data.store import Store
from gckd.data.store_builder import build_store

SPLITS = ("train", "val", "test")


def build(folder: Path, cache: Path, **options: Any) -> Store:
    return build_store(read_annotations(str(folder)), cache, **options)


class TestUnlabelled:
    """The target's train split, whose type has no identities and no pairing."""

    def test_has_images_and_captions_only(self) -> None:
        assert UnlabelledSplit.__slots__ == ("images", "captions")

    def test_never_opens_the_label_file(
        self, make_dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        built = build(make_dataset(), tmp_path / "cache")
        opened, read = [], splits.read_arrow

        def record(path: Path) -> Any:
            opened.append(path.name)
            return read(path)

        monkeypatch.setattr(splits, "read_arrow", record)
        split = built.unlabelled("train")
        split.images.decoded(16, 8)
        assert sorted(opened) == ["captions.arrow", "images.arrow"]

    def test_works_without_a_label_file(self, make_dataset: Any, tmp_path: Path) -> None:
        built = build(make_dataset(), tmp_path / "cache")
        (built.path / "train" / "labels.arrow").unlink()
        split = built.unlabelled("train")
        assert (len(split.images), len(split.captions)) == (12, 24)
        with pytest.raises(OSError, match="labels.arrow"):
            built.labelled("train")

    def test_its_files_have_one_column_each(self, make_dataset: Any, tmp_path: Path) -> None:
        folder = build(make_dataset(), tmp_path / "cache").path / "train"
        columns = {name: splits.read_arrow(folder / f"{name}.arrow").column_names for name in ("images", "captions")}
        assert columns == {"images": ["image"], "captions": ["caption"]}

    def test_the_order_of_rows_follows_from_the_rows_alone(self, make_dataset: Any, tmp_path: Path) -> None:
        """Rows are ordered by their own hashes, so that no order reveals the pairing."""
        split = build(make_dataset(), tmp_path / "cache").unlabelled("train")
        images = [hashlib.sha256(split.images.encoded(i)).hexdigest() for i in range(len(split.images))]
        captions = [hashlib.sha256(c.encode()).hexdigest() for c in split.captions]
        assert images == sorted(images) and captions == sorted(captions)

    def test_its_files_do_not_depend_on_pairing_and_identities(
        self, make_dataset: Any, spoil: Any, tmp_path: Path
    ) -> None:
        """Images and captions with another pairing and other identities give the same bytes."""
        folder = make_dataset()
        before = build(folder, tmp_path / "cache")

        def rotate(entries: list[dict[str, Any]]) -> None:
            train = [e for e in entries if e["split"] == "train"]
            captions = [e["captions"] for e in train]
            for entry, others in zip(train, captions[3:] + captions[:3], strict=True):
                entry.update(captions=others, id=entry["id"] + 1000)

        spoil(folder, rotate)
        after = build(folder, tmp_path / "cache")
        assert before.digest != after.digest
        for name in ("images.arrow", "captions.arrow"):
            assert (before.path / "train" / name).read_bytes() == (after.path / "train" / name).read_bytes()
        labels = [(s.path / "train" / "labels.arrow").read_bytes() for s in (before, after)]
        assert labels[0] != labels[1]


class TestPixels:
    def test_equal_bicubic_resizing_by_pillow(self, make_dataset: Any, tmp_path: Path) -> None:
        images = build(make_dataset(), tmp_path / "cache").labelled("train").images
        pixels = images.decoded(8, 6)
        assert pixels.shape == (12, 3, 8, 6) and pixels.dtype == np.uint8
        for row in range(12):
            with Image.open(io.BytesIO(images.encoded(row))) as picture:
                expected = np.asarray(picture.convert("RGB").resize((6, 8), Image.Resampling.BICUBIC))
            np.testing.assert_array_equal(pixels[row].transpose(1, 2, 0), expected)

    def test_transparency_becomes_white(self, make_dataset: Any, tmp_path: Path) -> None:
        folder = make_dataset()
        half = Image.new("RGBA", (8, 16), (255, 0, 0, 0))
        half.paste((0, 0, 255, 255), (0, 0, 8, 8))
        for path in (folder / "imgs" / "train").iterdir():
            half.save(path)
        pixels = build(folder, tmp_path / "cache").unlabelled("train").images.decoded(16, 8)
        np.testing.assert_array_equal(pixels[0, :, 0, 0], (0, 0, 255))
        np.testing.assert_array_equal(pixels[0, :, 15, 0], (255, 255, 255))

    def test_are_decoded_once_and_shared(
        self, make_dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        built = build(make_dataset(), tmp_path / "cache")
        first = built.labelled("train").images.decoded(8, 6)

        def refuse(*_: object) -> None:
            raise AssertionError("decoded again")

        monkeypatch.setattr(splits, "decode", refuse)
        again = pickle.loads(pickle.dumps(built.unlabelled("train").images)).decoded(8, 6)
        np.testing.assert_array_equal(first, again)

    def test_writing_to_the_array_changes_no_file(self, make_dataset: Any, tmp_path: Path) -> None:
        images = build(make_dataset(), tmp_path / "cache").labelled("train").images
        before = np.array(images.decoded(8, 6))
        images.decoded(8, 6)[:] = 0
        np.testing.assert_array_equal(images.decoded(8, 6), before)

"""The store: what goes in comes out, it is named by its content, built once; the target's labels are out of reach."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gckd.data import splits, store
from gckd.data.images import inspect
from gckd.data.readers import read_annotations
from gckd.data.splits import LabelledSplit, UnlabelledSplit
from gckd.data.store import Store, build_store
from gckd.data.writer import write_split
from gckd.errors import InputError

SPLITS = ("train", "val", "test")


def build(folder: Path, cache: Path, **options: Any) -> Store:
    return build_store(read_annotations(str(folder)), cache, **options)


def facts(split: LabelledSplit) -> set[tuple[bytes, int, tuple[str, ...]]]:
    """Each image's bytes with its identity and captions, read through the store's pairing."""
    found = set()
    for row, identity in enumerate(split.image_identities):
        captions = (c for c, image in zip(split.captions, split.caption_image, strict=True) if image == row)
        found.add((split.images.encoded(row), int(identity), tuple(sorted(captions))))
    return found


@pytest.mark.parametrize("layout", ["cuhk-pedes", "icfg-pedes", "rstpreid"])
def test_what_goes_in_comes_out(make_dataset: Any, tmp_path: Path, layout: str) -> None:
    ann = read_annotations(str(make_dataset(layout)))
    built = build_store(ann, tmp_path / "cache")
    for name in SPLITS:
        records = [r for r in ann.records if r.split == name]
        expected = {((ann.images / r.image).read_bytes(), r.identity, tuple(sorted(r.captions))) for r in records}
        split = built.labelled(name)
        assert facts(split) == expected
        identities = [split.image_identities[i] for i in split.caption_image]
        assert split.caption_identities.tolist() == identities
        captions = sum(len(r.captions) for r in records)
        ids = len({r.identity for r in records})
        assert built.counts[name] == {"images": len(records), "identities": ids, "captions": captions}
    assert built.skipped == 0 and built.notes == ()
    assert Store.open(built.path) == built


class TestDigest:
    def test_forgets_place_names_and_entry_order(self, make_dataset: Any, spoil: Any, tmp_path: Path) -> None:
        one, two = make_dataset(folder="one"), make_dataset(folder="elsewhere/two")

        def shuffle(entries: list[dict[str, Any]]) -> None:
            entries.reverse()
            for number, entry in enumerate(entries):
                renamed = f"{number}.png"
                (two / "imgs" / entry["img_path"]).rename(two / "imgs" / renamed)
                entry["img_path"] = renamed

        spoil(two, shuffle)
        assert build(one, tmp_path / "a").digest == build(two, tmp_path / "b").digest

    def test_one_content_is_stored_once(self, make_dataset: Any, tmp_path: Path) -> None:
        stores = [build(make_dataset(folder=name), tmp_path / "cache") for name in ("one", "two")]
        assert stores[0] == stores[1]
        assert [p.name for p in (tmp_path / "cache" / "stores").iterdir() if p.name != "index"] == [stores[0].digest]

    @pytest.mark.parametrize(
        "change",
        [
            lambda entries: entries[0].update(id=99),
            lambda entries: entries[0].update(split="test"),
            lambda entries: entries[0].update(captions=["another text"]),
            lambda entries: entries.pop(0),
        ],
        ids=["identity", "split", "caption", "entry"],
    )
    def test_follows_annotations(self, make_dataset: Any, spoil: Any, tmp_path: Path, change: Any) -> None:
        folder = make_dataset()
        before = build(folder, tmp_path / "cache").digest
        spoil(folder, change)
        assert build(folder, tmp_path / "cache").digest != before

    def test_follows_image_bytes(self, make_dataset: Any, tmp_path: Path) -> None:
        folder = make_dataset()
        before = build(folder, tmp_path / "cache").digest
        Image.new("RGB", (8, 16)).save(folder / "imgs" / "train" / "0000_0.png")
        assert build(folder, tmp_path / "cache").digest != before


class TestBuiltOnce:
    def test_a_second_call_reads_no_image(
        self, make_dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = make_dataset()
        first = build(folder, tmp_path / "cache")

        def refuse(path: Path) -> None:
            raise AssertionError(f"{path} was read again")

        monkeypatch.setattr(store, "inspect", refuse)
        assert build(folder, tmp_path / "cache") == first

    def test_others_wait_for_the_builder(
        self, make_dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder, read = make_dataset(), []

        def counting(path: Path) -> Any:
            read.append(path)
            return inspect(path)

        monkeypatch.setattr(store, "inspect", counting)
        built: list[Store] = []
        threads = [threading.Thread(target=lambda: built.append(build(folder, tmp_path / "cache"))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(read) == 22 and len(built) == 4 and all(b == built[0] for b in built)

    def test_an_interrupted_build_leaves_no_store(
        self, make_dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = make_dataset()

        def interrupted(rows: Any, to: Path, workers: Any) -> Any:
            if to.name == "test":
                raise KeyboardInterrupt
            return write_split(rows, to, workers)

        with monkeypatch.context() as patch:
            patch.setattr(store, "write_split", interrupted)
            with pytest.raises(KeyboardInterrupt):
                build(folder, tmp_path / "cache")
        built = build(folder, tmp_path / "cache")
        names = {p.name for p in (tmp_path / "cache" / "stores").iterdir()}
        assert names == {"index", built.digest} and len(built.labelled("test").captions) == 12

    def test_two_folders_of_one_content_at_the_same_time(
        self, make_dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, two = make_dataset(folder="one"), make_dataset(folder="two")

        def overtaken(rows: Any, to: Path, workers: Any) -> Any:
            monkeypatch.setattr(store, "write_split", write_split)
            build(two, tmp_path / "cache")
            return write_split(rows, to, workers)

        monkeypatch.setattr(store, "write_split", overtaken)
        built = build(one, tmp_path / "cache")
        assert {p.name for p in (tmp_path / "cache" / "stores").iterdir()} == {"index", built.digest}

    def test_a_removed_store_is_built_again(self, make_dataset: Any, tmp_path: Path) -> None:
        folder = make_dataset()
        first = build(folder, tmp_path / "cache")
        shutil.rmtree(first.path)
        assert build(folder, tmp_path / "cache") == first and first.path.is_dir()

    def test_progress_counts_images(self, make_dataset: Any, tmp_path: Path) -> None:
        said: list[tuple[int, int]] = []
        build(make_dataset(), tmp_path / "cache", progress=lambda done, total: said.append((done, total)))
        assert said == [(n, 22) for n in range(1, 23)]


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
    path.write_text("no picture")


def _replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


BREAKS = [
    (_remove, "missing"),
    (_truncate_png, "broken image"),
    (_truncate_jpeg, "broken image"),
    (_replace_by_text, "not an image"),
    (_replace_by_folder, "not a file"),
    (_replace_by_pipe, "not a file"),
]


@pytest.mark.parametrize(("spoil_image", "message"), BREAKS)
class TestBrokenImages:
    def test_stop_and_are_named(
        self, make_dataset: Any, tmp_path: Path, spoil_image: Callable[[Path], None], message: str
    ) -> None:
        folder = make_dataset()
        path = folder / "imgs" / "train" / "0001_0.png"
        spoil_image(path)
        with pytest.raises(InputError) as caught:
            build(folder, tmp_path / "cache")
        assert str(caught.value).startswith(f"{path}: {message}") and "\n" not in str(caught.value)

    def test_are_skipped_and_counted(
        self, make_dataset: Any, tmp_path: Path, spoil_image: Callable[[Path], None], message: str
    ) -> None:
        folder = make_dataset()
        spoil_image(folder / "imgs" / "train" / "0001_0.png")
        built = build(folder, tmp_path / "cache", skip_broken=True)
        assert (built.skipped, built.notes) == (1, ("1 broken images were left out",))
        assert built.counts["train"] == {"images": 11, "identities": 6, "captions": 22}
        # What one caller skipped still stops another that does not.
        with pytest.raises(InputError, match=message):
            build(folder, tmp_path / "cache")


def test_a_split_emptied_by_skipping_is_refused(make_dataset: Any, tmp_path: Path) -> None:
    folder = make_dataset(ids={"train": 2, "val": 1, "test": 1})
    for path in (folder / "imgs" / "val").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="the split 'val' is empty"):
        build(folder, tmp_path / "cache", skip_broken=True)


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_a_link_out_of_the_image_folder_is_refused(make_dataset: Any, tmp_path: Path, linked: str) -> None:
    folder = make_dataset()
    inner = folder / "imgs" / "train" if linked == "folder" else folder / "imgs" / "train" / "0000_0.png"
    outside = tmp_path / "outside"
    inner.rename(outside)
    inner.symlink_to(outside)
    with pytest.raises(InputError, match="0000_0.png: leads out of the image folder"):
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


def test_an_unusable_cache_folder_is_refused(make_dataset: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cache folder .*/file: cannot be used"):
        build(make_dataset(), tmp_path / "file")


def test_no_store_and_no_split_are_refused(make_dataset: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a dataset store"):
        Store.open(tmp_path)
    with pytest.raises(InputError, match="split: 'dev' is not one of train, val, test"):
        build(make_dataset(), tmp_path / "cache").unlabelled("dev")


class TestUnlabelled:
    """The target's train split: identities and pairing are unreachable by type."""

    def test_has_two_fields(self) -> None:
        assert UnlabelledSplit.__slots__ == ("images", "captions")

    def test_never_opens_the_labels(self, make_dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        built = build(make_dataset(), tmp_path / "cache")
        opened, read = [], splits.read_arrow

        def noting(path: Path) -> Any:
            opened.append(path.name)
            return read(path)

        monkeypatch.setattr(splits, "read_arrow", noting)
        split = built.unlabelled("train")
        split.images.decoded(16, 8)
        assert sorted(opened) == ["captions.arrow", "images.arrow"]

    def test_works_where_no_labels_exist(self, make_dataset: Any, tmp_path: Path) -> None:
        built = build(make_dataset(), tmp_path / "cache")
        (built.path / "train" / "labels.arrow").unlink()
        split = built.unlabelled("train")
        assert (len(split.images), len(split.captions)) == (12, 24)
        with pytest.raises(OSError, match="labels.arrow"):
            built.labelled("train")

    def test_files_hold_one_column_each(self, make_dataset: Any, tmp_path: Path) -> None:
        folder = build(make_dataset(), tmp_path / "cache").path / "train"
        columns = {name: splits.read_arrow(folder / f"{name}.arrow").column_names for name in ("images", "captions")}
        assert columns == {"images": ["image"], "captions": ["caption"]}

    def test_a_row_s_place_follows_from_the_row_alone(self, make_dataset: Any, tmp_path: Path) -> None:
        """Both orders are those of the rows' own hashes: no order can carry who belongs to whom."""
        split = build(make_dataset(), tmp_path / "cache").unlabelled("train")
        images = [hashlib.sha256(split.images.encoded(i)).hexdigest() for i in range(len(split.images))]
        captions = [hashlib.sha256(c.encode()).hexdigest() for c in split.captions]
        assert images == sorted(images) and captions == sorted(captions)

    def test_pairing_may_change_and_nothing_is_seen(self, make_dataset: Any, spoil: Any, tmp_path: Path) -> None:
        """Other pairs, other identities, same heaps: the unlabelled files are the same bytes."""
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
    def test_are_pillow_s_bicubic(self, make_dataset: Any, tmp_path: Path) -> None:
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

    def test_writing_to_them_changes_no_file(self, make_dataset: Any, tmp_path: Path) -> None:
        images = build(make_dataset(), tmp_path / "cache").labelled("train").images
        before = np.array(images.decoded(8, 6))
        images.decoded(8, 6)[:] = 0
        np.testing.assert_array_equal(images.decoded(8, 6), before)


def test_index_survives_as_json(make_dataset: Any, tmp_path: Path) -> None:
    built = build(make_dataset(), tmp_path / "cache")
    (entry,) = (tmp_path / "cache" / "stores" / "index").glob("*.json")
    assert json.loads(entry.read_text()) == {"digest": built.digest, "broken": [], "blank": 0}

"""Store: its content equals the dataset, its digest follows the content, and it is built once."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gckd.data import store_builder
from gckd.data.annotations import read_annotations
from gckd.data.images import inspect
from gckd.data.splits import LabelledSplit
from gckd.data.store import Store
from gckd.data.store_builder import build_store
from gckd.data.store_writer import write_split
from gckd.errors import InputError

SPLITS = ("train", "val", "test")


def build(folder: Path, cache: Path, **options: Any) -> Store:
    return build_store(read_annotations(str(folder)), cache, **options)


def contents(split: LabelledSplit) -> set[tuple[bytes, int, tuple[str, ...]]]:
    """Each image's bytes with its identity and captions, read through the store's pairing."""
    rows = set()
    for row, identity in enumerate(split.image_identities):
        captions = (c for c, image in zip(split.captions, split.caption_image, strict=True) if image == row)
        rows.add((split.images.encoded(row), int(identity), tuple(sorted(captions))))
    return rows


@pytest.mark.parametrize("layout", ["cuhk-pedes", "icfg-pedes", "rstpreid"])
def test_a_store_holds_the_images_captions_and_labels_of_the_dataset(
    make_dataset: Any, tmp_path: Path, layout: str
) -> None:
    annotations = read_annotations(str(make_dataset(layout)))
    built = build_store(annotations, tmp_path / "cache")
    for name in SPLITS:
        records = [r for r in annotations.records if r.split == name]
        expected = {
            ((annotations.images / r.image).read_bytes(), r.identity, tuple(sorted(r.captions))) for r in records
        }
        split = built.labelled(name)
        assert contents(split) == expected
        identities = [split.image_identities[i] for i in split.caption_image]
        assert split.caption_identities.tolist() == identities
        captions = sum(len(r.captions) for r in records)
        ids = len({r.identity for r in records})
        assert built.counts[name] == {"images": len(records), "identities": ids, "captions": captions}
    assert built.skipped == 0 and built.notes == ()
    assert Store.open(built.path) == built


class TestDigest:
    def test_does_not_depend_on_folder_file_names_and_entry_order(
        self, make_dataset: Any, spoil: Any, tmp_path: Path
    ) -> None:
        one, two = make_dataset(folder="one"), make_dataset(folder="elsewhere/two")

        def shuffle(entries: list[dict[str, Any]]) -> None:
            entries.reverse()
            for number, entry in enumerate(entries):
                renamed = f"{number}.png"
                (two / "imgs" / entry["img_path"]).rename(two / "imgs" / renamed)
                entry["img_path"] = renamed

        spoil(two, shuffle)
        assert build(one, tmp_path / "a").digest == build(two, tmp_path / "b").digest

    def test_equal_content_is_stored_once(self, make_dataset: Any, tmp_path: Path) -> None:
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
    def test_changes_with_the_annotations(self, make_dataset: Any, spoil: Any, tmp_path: Path, change: Any) -> None:
        folder = make_dataset()
        before = build(folder, tmp_path / "cache").digest
        spoil(folder, change)
        assert build(folder, tmp_path / "cache").digest != before

    def test_changes_with_the_bytes_of_an_image(self, make_dataset: Any, tmp_path: Path) -> None:
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

        monkeypatch.setattr(store_builder, "inspect", refuse)
        assert build(folder, tmp_path / "cache") == first

    def test_other_callers_wait_for_the_first(
        self, make_dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder, read = make_dataset(), []

        def counting(path: Path) -> Any:
            read.append(path)
            return inspect(path)

        monkeypatch.setattr(store_builder, "inspect", counting)
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
            patch.setattr(store_builder, "write_split", interrupted)
            with pytest.raises(KeyboardInterrupt):
                build(folder, tmp_path / "cache")
        built = build(folder, tmp_path / "cache")
        names = {p.name for p in (tmp_path / "cache" / "stores").iterdir()}
        assert names == {"index", built.digest} and len(built.labelled("test").captions) == 12

    def test_two_folders_of_equal_content_can_be_stored_at_the_same_time(
        self, make_dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, two = make_dataset(folder="one"), make_dataset(folder="two")

        def write_after_another(rows: Any, to: Path, workers: Any) -> Any:
            monkeypatch.setattr(store_builder, "write_split", write_split)
            build(two, tmp_path / "cache")
            return write_split(rows, to, workers)

        monkeypatch.setattr(store_builder, "write_split", write_after_another)
        built = build(one, tmp_path / "cache")
        assert {p.name for p in (tmp_path / "cache" / "stores").iterdir()} == {"index", built.digest}

    def test_a_removed_store_is_built_again(self, make_dataset: Any, tmp_path: Path) -> None:
        folder = make_dataset()
        first = build(folder, tmp_path / "cache")
        shutil.rmtree(first.path)
        assert build(folder, tmp_path / "cache") == first and first.path.is_dir()

    def test_progress_counts_images(self, make_dataset: Any, tmp_path: Path) -> None:
        calls: list[tuple[int, int]] = []
        build(make_dataset(), tmp_path / "cache", progress=lambda done, total: calls.append((done, total)))
        assert calls == [(n, 22) for n in range(1, 23)]


def test_an_unusable_cache_folder_is_refused(make_dataset: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cache folder .*/file: cannot be written"):
        build(make_dataset(), tmp_path / "file")


def test_a_folder_without_a_store_and_an_unknown_split_are_refused(make_dataset: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a dataset store"):
        Store.open(tmp_path)
    with pytest.raises(InputError, match="unknown split 'dev'; choose from train, val, test"):
        build(make_dataset(), tmp_path / "cache").unlabelled("dev")


def test_the_index_is_json(make_dataset: Any, tmp_path: Path) -> None:
    built = build(make_dataset(), tmp_path / "cache")
    (entry,) = (tmp_path / "cache" / "stores" / "index").glob("*.json")
    assert json.loads(entry.read_text()) == {"digest": built.digest, "broken": [], "blank": 0}

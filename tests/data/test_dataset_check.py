"""`gckd data check` and `gckd data make street`: problems, counts and exit status."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from gckd.cli.data import data
from gckd.data import dataset_check
from gckd.data.annotations import read_annotations
from gckd.data.dataset_check import CheckResult, check, published_match, split_counts, uses_published_counts
from gckd.data.store import Store
from gckd.data.types import Annotations, Record, SplitCounts
from gckd.errors import InputError

PUBLISHED = {
    "cuhk-pedes": {"train": (34_054, 11_003, 68_126), "val": (3_078, 1_000, 6_158), "test": (3_074, 1_000, 6_156)},
    "icfg-pedes": {"train": (34_674, 3_102, 34_674), "test": (19_848, 1_000, 19_848)},
    "rstpreid": {"train": (18_505, 3_701, 37_010), "val": (1_000, 200, 2_000), "test": (1_000, 200, 2_000)},
}


def problems(result: CheckResult) -> list[tuple[str, str]]:
    return [(f.kind, f.text) for f in result.problems]


def as_published(layout: str) -> Annotations:
    """Records with the published counts."""
    records, first = [], 0
    for split, (images, ids, captions) in PUBLISHED[layout].items():
        each, extra = divmod(captions, images)
        texts = [(f"person {first + i % ids}",) * (each + (i < extra)) for i in range(images)]
        records += [Record(f"{split}{i}", texts[i], first + i % ids, split) for i in range(images)]
        first += ids
    return Annotations(layout, "/x", Path("/x"), Path("/x/a.json"), Path("/x/imgs"), tuple(records))


def test_a_dataset_without_problems(make_dataset: Any) -> None:
    folder = make_dataset()
    result = check(str(folder))
    assert result.problems == [] and result.notes == []
    rows = [(row.split, row.counts, row.published) for row in result.rows]
    assert rows[0] == ("train", SplitCounts(12, 6, 24), SplitCounts(18_505, 3_701, 37_010))
    assert rows[2] == ("test", SplitCounts(6, 3, 12), SplitCounts(1_000, 200, 2_000))


def test_unreadable_images(make_dataset: Any) -> None:
    folder = make_dataset()
    (folder / "imgs/train/0000_0.png").write_text("text")
    (folder / "imgs/test/0008_1.png").unlink()
    expected = [
        ("image", f"{folder}/imgs/train/0000_0.png: not an image"),
        ("image", f"{folder}/imgs/test/0008_1.png: missing"),
    ]
    assert problems(check(str(folder))) == expected


def test_empty_captions(make_dataset: Any, spoil: Any) -> None:
    folder = make_dataset()
    spoil(folder, lambda entries: entries[0].update(captions=["a coat", " \n"]))
    spoil(folder, lambda entries: entries[3].update(captions=[]))
    assert problems(check(str(folder))) == [
        ("caption", "1 images have no caption: train/0001_1.png"),
        ("caption", "1 images have an empty caption: train/0000_0.png"),
    ]


def test_identities_in_two_splits(make_dataset: Any, spoil: Any) -> None:
    folder = make_dataset()
    spoil(folder, lambda entries: entries[-1].update(id=2))
    assert problems(check(str(folder))) == [("identity", "1 identities are in train and in test: 2")]


def test_the_same_picture_twice_in_a_dataset(make_dataset: Any) -> None:
    folder = make_dataset()
    shutil.copy(folder / "imgs/train/0000_0.png", folder / "imgs/test/0008_0.png")
    named = "train/0000_0.png = test/0008_0.png"
    assert problems(check(str(folder))) == [
        ("duplicate", f"1 pictures of train are in test too: {named}"),
        ("duplicate", f"1 pictures are of several identities: {named}"),
    ]


def test_a_picture_under_two_paths_of_one_identity_counts_twice_in_the_gallery(make_dataset: Any, spoil: Any) -> None:
    folder = make_dataset()

    def copy(entries: list[dict[str, Any]]) -> None:
        last = entries[-1]
        (folder / "imgs/test/link.png").symlink_to(Path(last["img_path"]).name)
        entries.append(last | {"img_path": "test/link.png", "captions": ["another caption"]})
        entries.append(last | {"img_path": f"./{last['img_path']}"})  # another spelling of one path

    spoil(folder, copy)
    assert problems(check(str(folder))) == [
        ("duplicate", "1 pictures are in test under several paths: test/0010_1.png = test/link.png")
    ]


def test_each_pair_of_splits_with_the_same_picture_has_a_line(make_dataset: Any) -> None:
    folder = make_dataset()
    for copy in ("val/0006_0.png", "test/0008_0.png"):
        shutil.copy(folder / "imgs/train/0000_0.png", folder / "imgs" / copy)
    texts = [text for kind, text in problems(check(str(folder))) if kind == "duplicate"]
    assert [text for text in texts if "identities" not in text] == [
        "1 pictures of train are in val too: train/0000_0.png = val/0006_0.png",
        "1 pictures of train are in test too: train/0000_0.png = test/0008_0.png",
        "1 pictures of val are in test too: val/0006_0.png = test/0008_0.png",
    ]


def test_the_same_picture_in_two_datasets(make_dataset: Any) -> None:
    """The copy has the same pixels in another encoding."""
    first, second = make_dataset(folder="one"), make_dataset("icfg-pedes", "two", first=100)
    with Image.open(first / "imgs/train/0003_1.png") as picture:
        picture.save(second / "imgs/test/0109_0.png", "BMP")
    result = check(str(first), str(second))
    text = "1 pictures of the first dataset's train are in the second's test: train/0003_1.png = test/0109_0.png"
    assert problems(result) == [("duplicate", text)]
    assert len(result.rows) == 6


def test_two_datasets_without_problems(make_dataset: Any) -> None:
    first, second = make_dataset(folder="one"), make_dataset("icfg-pedes", "two", first=100)
    assert check(str(first), str(second)).problems == []


def test_a_problem_names_at_most_five_examples(make_dataset: Any) -> None:
    first, second = make_dataset(folder="one"), make_dataset(folder="two")
    texts = [text for _, text in problems(check(str(first), str(second)))]
    assert len(texts) == 3  # one for each split
    assert texts[1].startswith("12 pictures of the first dataset's train are in the second's train: train/0000_0.png")
    assert texts[1].endswith("train/0002_0.png = train/0002_0.png and 7 more")


class TestPublishedCounts:
    @pytest.mark.parametrize("layout", sorted(PUBLISHED))
    def test_match(self, layout: str) -> None:
        annotations = as_published(layout)
        assert published_match(annotations) == layout
        assert published_match(replace(annotations, records=annotations.records[1:])) is None

    def test_a_held_out_val_counts_as_train(self) -> None:
        annotations = as_published("icfg-pedes")
        records = tuple(
            Record(r.image, r.captions, r.identity, "val" if r.split == "train" and r.identity < 248 else r.split)
            for r in annotations.records
        )
        moved = replace(annotations, records=records)
        assert split_counts(moved)["val"].identities == 248
        assert published_match(moved) == "icfg-pedes"

    def test_a_difference_is_a_problem_only_near_the_published_size(self, monkeypatch: pytest.MonkeyPatch) -> None:
        annotations = as_published("rstpreid")
        monkeypatch.setattr(dataset_check, "confine", lambda folder, names: [])
        monkeypatch.setattr(dataset_check, "_inspect_pictures", lambda annotations, progress: ({}, []))
        results = []
        for size in (len(annotations.records), 17_000, 16_000):
            short = replace(annotations, records=annotations.records[-size:])
            monkeypatch.setattr(dataset_check, "read_annotations", lambda spec, short=short: short)
            results.append(problems(check("any")))
        assert results[0] == [] and results[2] == []
        assert results[1] == [("counts", "train has 15,000 images, the published rstpreid 18,505")]

    @pytest.mark.parametrize("layout", sorted(PUBLISHED))
    def test_what_a_store_lacks_is_no_published_data(self, layout: str) -> None:
        counts = {split: vars(numbers) for split, numbers in split_counts(as_published(layout)).items()}
        store = Store(Path("/x"), "", layout, counts, (), 0)
        assert uses_published_counts(store)
        for split in PUBLISHED[layout]:
            for unit in counts[split]:
                fewer = counts | {split: counts[split] | {unit: counts[split][unit] - 1}}
                assert not uses_published_counts(replace(store, counts=fewer))

    def test_one_caption_more_is_a_problem(self, monkeypatch: pytest.MonkeyPatch) -> None:
        annotations = as_published("rstpreid")
        first = annotations.records[7]
        records = (*annotations.records[:7], replace(first, captions=(*first.captions, "one more")))
        more = replace(annotations, records=(*records, *annotations.records[8:]))
        monkeypatch.setattr(dataset_check, "_inspect_pictures", lambda annotations, progress: ({}, []))
        monkeypatch.setattr(dataset_check, "read_annotations", lambda spec: more)
        assert ("counts", "train has 37,011 captions, the published rstpreid 37,010") in problems(check("any"))

    def test_a_small_dataset_does_not_match(self, make_dataset: Any) -> None:
        assert published_match(read_annotations(str(make_dataset()))) is None


class TestCommands:
    def run(self, *arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(data, [str(a) for a in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    def test_check_exits_with_0_or_1(self, make_dataset: Any) -> None:
        folder = make_dataset("icfg-pedes", ids={"train": 12, "test": 3})
        status, output = self.run("check", folder)
        assert status == 0 and "problems: none" in output and "34,674" in output
        assert "note: " in output and "1 of 12 train identities were held out as val" in output
        (folder / "imgs/test/0012_0.png").unlink()
        status, output = self.run("check", folder)
        assert status == 1 and f"image: {folder}/imgs/test/0012_0.png: missing\nproblems: 1\n" in output

    def test_check_refuses_a_folder_without_annotations(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no annotation file"):
            self.run("check", tmp_path)

    def test_street_makes_a_dataset_without_problems(self, tmp_path: Path) -> None:
        folder = tmp_path / "street"
        status, output = self.run("make", "street", folder, "--ids", 9, "--domains", "RSTPReid", "--sheet")
        assert status == 0 and f"{folder / 'RSTPReid'}: train 15 images of 3 identities" in output
        assert (folder / "contact-sheet.png").is_file()
        assert self.run("check", folder)[0] == 0

    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [
            ("--ids", 2, "ids: 2 is outside its limit: >= 8"),
            ("--shift", 1.5, "shift: 1.5 is outside its limit: >= 0 and <= 1"),
            ("--domains", "Market", "domains: unknown dataset 'Market'; choose from CUHK-PEDES"),
        ],
    )
    def test_street_refuses(self, tmp_path: Path, option: str, value: object, message: str) -> None:
        with pytest.raises(InputError, match=message):
            self.run("make", "street", tmp_path / "street", option, value)

    def test_street_refuses_an_unwritable_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match="file/street: cannot be written"):
            self.run("make", "street", tmp_path / "file" / "street", "--ids", 8)


def test_missing_folders_and_misspelled_paths_have_one_line_each(make_dataset: Any, spoil: Any) -> None:
    folder = make_dataset()
    shutil.rmtree(folder / "imgs/val")

    def misspell(entries: list[dict[str, Any]]) -> None:
        for entry in entries:
            path = entry["img_path"]
            spelled = {"train": f"copy/{path}", "test": path.replace("/", "\\")}
            entry["img_path"] = spelled.get(entry["split"], path)

    spoil(folder, misspell)
    result = check(str(folder))
    assert [text.split(":")[0] for kind, text in problems(result) if kind == "image"] == [
        "12 image paths begin with copy/, which the image folder contains already",
        f"the folder {folder}/imgs/val is missing",
    ]
    assert result.notes == [f"{folder}/data_captions.json: 6 image paths have Windows separators; read with /"]


@pytest.mark.parametrize(("size", "quality"), [((48, 96), 80), ((32, 64), 75), ((32, 64), 60)])
def test_a_resized_copy_in_another_split_is_reported(make_dataset: Any, size: tuple[int, int], quality: int) -> None:
    import numpy as np

    folder = make_dataset()
    pixels = np.random.default_rng(0).integers(0, 256, (8, 4, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((64, 128), Image.Resampling.BICUBIC)
    picture.save(folder / "imgs/train/0000_0.png")
    picture.resize(size).save(folder / "imgs/test/0008_0.png", "JPEG", quality=quality)
    texts = [text for kind, text in problems(check(str(folder))) if kind == "duplicate"]
    named = "train/0000_0.png ~ test/0008_0.png"
    assert texts == [
        f"1 near copies (resized or encoded again) of train are in test too: {named}",
        f"1 near copies (resized or encoded again) are of several identities: {named}",
    ]

"""Annotations of the built-in formats, and every kind of input that is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gckd.data.annotations import read_annotations
from gckd.errors import InputError

EMOJI = Path(__file__).parents[3] / "shared" / "data" / "people-emoji"
LAYOUTS = ("cuhk-pedes", "icfg-pedes", "rstpreid")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_records_equal_the_entries_of_the_file(make_dataset: Any, layout: str) -> None:
    folder = make_dataset(layout)
    annotations = read_annotations(str(folder))
    (file,) = folder.glob("*.json")
    entries = json.loads(file.read_text())
    path_field = "img_path" if layout == "rstpreid" else "file_path"
    expected = [(e[path_field], tuple(e["captions"]), e["id"], e["split"]) for e in entries]
    assert [(r.image, r.captions, r.identity, r.split) for r in annotations.records] == expected
    assert (annotations.format, annotations.file, annotations.images, annotations.notes) == (
        layout,
        file,
        folder / "imgs",
        (),
    )


def test_a_dataset_in_a_sub_folder_is_found(make_dataset: Any, tmp_path: Path) -> None:
    folder = make_dataset(folder="around/RSTPReid")
    assert read_annotations(str(tmp_path / "around")) == read_annotations(str(folder))


def test_the_format_selects_one_of_several_datasets(make_dataset: Any, tmp_path: Path) -> None:
    make_dataset("rstpreid", "both/one")
    icfg = make_dataset("icfg-pedes", "both/two")
    assert read_annotations(f"ICFG-PEDES:{tmp_path / 'both'}") == read_annotations(str(icfg))
    with pytest.raises(
        InputError, match=r"2 annotation files \(rstpreid:one/data_captions.json, icfg-pedes:two/ICFG-PEDES.json\)"
    ) as refusal:
        read_annotations(str(tmp_path / "both"))
    choices = str(refusal.value).partition("; give ")[2].split(" or ")
    assert [read_annotations(choice).format for choice in choices] == ["rstpreid", "icfg-pedes"]


def test_both_file_names_of_icfg_pedes_are_recognised(make_dataset: Any) -> None:
    folder = make_dataset("icfg-pedes")
    (folder / "ICFG-PEDES.json").rename(folder / "ICFG_PEDES.json")
    assert read_annotations(str(folder)).format == "icfg-pedes"


def test_relative_paths_become_absolute(make_dataset: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_dataset()
    monkeypatch.chdir(folder.parent)
    annotations = read_annotations("set")
    assert annotations.images == folder / "imgs" and annotations.file.is_absolute()


class TestHeldOutVal:
    """ICFG-PEDES is published without a val split."""

    def test_val_is_a_share_of_the_train_identities(self, make_dataset: Any) -> None:
        annotations = read_annotations(str(make_dataset("icfg-pedes", ids={"train": 50, "test": 3})))
        ids = {s: {r.identity for r in annotations.records if r.split == s} for s in ("train", "val", "test")}
        assert len(ids["val"]) == 4  # 8 % of 50
        assert ids["train"] | ids["val"] == set(range(50)) and not ids["train"] & ids["val"]
        assert ids["test"] == {50, 51, 52}
        assert sum(r.split == "val" for r in annotations.records) == 8  # two images of each identity
        assert annotations.notes == ("icfg-pedes has no val split: 4 of 50 train identities were held out as val",)

    def test_the_choice_does_not_depend_on_the_order_of_entries(self, make_dataset: Any, spoil: Any) -> None:
        folder = make_dataset("icfg-pedes", ids={"train": 30, "test": 3})
        before = {r.image: r.split for r in read_annotations(str(folder)).records}
        spoil(folder, lambda entries: entries.reverse())
        assert {r.image: r.split for r in read_annotations(str(folder)).records} == before

    def test_a_single_train_identity_is_refused(self, make_dataset: Any) -> None:
        with pytest.raises(InputError, match="the split 'val' is empty"):
            read_annotations(str(make_dataset("icfg-pedes", ids={"train": 1, "test": 3})))

    def test_other_formats_without_val_are_refused(self, make_dataset: Any) -> None:
        with pytest.raises(InputError, match=r"reid_raw.json: the split 'val' is empty"):
            read_annotations(str(make_dataset("cuhk-pedes", ids={"train": 9, "test": 3})))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("id", True, r"entry 3 \(from 0\): 'id' is True; expected a 64-bit integer or a text"),
        ("id", 2**63, "'id' is 9223372036854775808"),
        ("captions", {"a": 1}, "'captions' is {'a': 1}; expected a list of texts"),
        ("captions", ["a", None], r"'captions' is \('a', None\); expected a list of texts"),
        ("captions", ["\ud800"], "'captions' is"),
        ("split", "dev", "'split' is 'dev'; expected one of train, val, test"),
        ("split", [], r"'split' is \[\]"),
        ("img_path", "../secret.png", r"'img_path' is '../secret.png'; expected a path inside imgs/"),
        ("img_path", "train/../../x.png", "expected a path inside imgs/"),
        ("img_path", "/etc/passwd", "'img_path' is '/etc/passwd'; expected a path inside imgs/"),
        ("img_path", "", "expected a path inside imgs/"),
        ("img_path", "a\0b", "expected a path inside imgs/"),
        ("img_path", 5, "'img_path' is 5"),
    ],
)
def test_an_unusable_value_is_refused(make_dataset: Any, spoil: Any, field: str, value: object, message: str) -> None:
    folder = make_dataset()
    file = spoil(folder, lambda entries: entries[3].update({field: value}))
    with pytest.raises(InputError, match=message) as refusal:
        read_annotations(str(folder))
    assert str(file) in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("field", ["id", "img_path", "captions", "split"])
def test_a_missing_field_is_refused(make_dataset: Any, spoil: Any, field: str) -> None:
    folder = make_dataset()
    spoil(folder, lambda entries: entries[5].pop(field))
    with pytest.raises(InputError, match=rf"entry 5 \(from 0\): missing field '{field}'"):
        read_annotations(str(folder))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{]", "not JSON"),
        ("", "not JSON"),
        ("[" * 100_000, "lists and objects inside each other, more than 32 deep"),
        ("\xff", "not JSON"),
        ("{}", r"expected a JSON list of at least 1 entry, got \{\}"),
        ("[]", r"got \[\]"),
        ("[3]", r"entry 0 \(from 0\): expected an object, got 3"),
        ("[" + "{}," * 5_000_000 + "{}]", "10,000,002 values; the limit is 10,000,000"),
    ],
)
def test_a_broken_file_is_refused(make_dataset: Any, text: str, message: str) -> None:
    folder = make_dataset()
    (folder / "data_captions.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=f"data_captions.json: .*{message}|data_captions.json: {message}"):
        read_annotations(str(folder))


def test_a_file_above_the_limit_of_its_size_is_refused(make_dataset: Any) -> None:
    file = make_dataset() / "data_captions.json"
    with file.open("r+b") as stream:
        stream.truncate(2**28 + 1)  # without blocks on the disk
    with pytest.raises(InputError, match="data_captions.json: larger than its limit, 268,435,456 bytes"):
        read_annotations(str(file.parent))


def test_line_breaks_in_names_do_not_make_more_lines(make_dataset: Any, spoil: Any, tmp_path: Path) -> None:
    for name in ("a\nerror: forged", "a\x85b\u2028c"):
        with pytest.raises(InputError, match="does not exist") as refusal:
            read_annotations(str(tmp_path / name))
        assert len(str(refusal.value).split("\n")) == 1
    spoil(make_dataset(), lambda entries: entries[3].update({"a\nerror: forged": entries[3].pop("split")}))
    with pytest.raises(InputError, match=r"missing field 'split' .*a\\nerror: forged"):
        read_annotations(str(tmp_path))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{tmp}/nowhere", "the folder .*/nowhere does not exist"),
        ("rstpreid:{tmp}/nowhere", "the folder .*/nowhere does not exist"),
        ("market:{tmp}", "unknown format 'market'; choose from cuhk-pedes, icfg-pedes, rstpreid"),
        ("{tmp}", r"no annotation file in it or in its sub-folders \(expected one of reid_raw.json"),
        ("{tmp}", "for images of your own, write captions.csv with the columns image and caption"),
        ("rstpreid:{tmp}", r"\(expected one of data_captions.json\)$"),
        ("", "no path is given"),
        ("rstpreid:", "no path is given"),
        ("a" * 5000, "cannot be read"),
    ],
)
def test_a_wrong_spec_is_refused(tmp_path: Path, spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_annotations(spec.format(tmp=tmp_path))


def _without_captions(entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        if entry["split"] == "test":
            entry["captions"] = [" "]


def _without_test(entries: list[dict[str, Any]]) -> None:
    entries[:] = [e for e in entries if e["split"] != "test"]


@pytest.mark.parametrize(
    ("change", "message"),
    [(_without_test, "the split 'test' is empty"), (_without_captions, "'test' has 6 images and no caption")],
)
def test_an_empty_split_is_refused(make_dataset: Any, spoil: Any, change: Callable[..., None], message: str) -> None:
    folder = make_dataset()
    spoil(folder, change)
    with pytest.raises(InputError, match=message):
        read_annotations(str(folder))


def test_a_store_is_named_as_one(tmp_path: Path) -> None:
    """`gckd data check` reads annotations, which a store does not have."""
    (tmp_path / "meta.json").touch()
    with pytest.raises(InputError, match="is a store; give the dataset that it was made of"):
        read_annotations(str(tmp_path))


def test_a_missing_image_folder_is_refused(make_dataset: Any) -> None:
    folder = make_dataset()
    (folder / "imgs").rename(folder / "images")
    with pytest.raises(InputError, match="the image folder .*/imgs is missing"):
        read_annotations(str(folder))


@pytest.mark.skipif(not EMOJI.is_dir(), reason=f"optional dataset people-emoji (25 MB) not found at {EMOJI}")
def test_the_people_emoji_dataset_has_its_counts() -> None:
    annotations = read_annotations(f"icfg-pedes:{EMOJI}")
    counts = {s: sum(r.split == s for r in annotations.records) for s in ("train", "val", "test")}
    assert counts == {"train": 1249, "val": 178, "test": 351} and annotations.notes == ()


def test_entries_of_one_image_are_joined_with_a_note(make_dataset: Any, spoil: Any) -> None:
    """One entry per caption: as many gallery images as captions, unless they are joined."""
    folder = make_dataset()
    spoil(folder, lambda entries: entries[1].update(captions=["a woman", "a woman"]))
    before = read_annotations(str(folder)).records

    def split_entries(entries: list[Any]) -> None:
        entries[:] = [entry | {"captions": [caption]} for entry in entries for caption in entry["captions"]]

    spoil(folder, split_entries)
    annotations = read_annotations(str(folder))
    assert annotations.records == before
    entries = sum(len(record.captions) for record in before)
    assert annotations.notes == (
        f"{entries} entries describe {len(before)} images; the entries of one image were joined",
    )


def test_an_entry_that_is_repeated_adds_no_caption(make_dataset: Any, spoil: Any) -> None:
    folder = make_dataset()
    before = read_annotations(str(folder)).records
    spoil(folder, lambda entries: entries.append(entries[0]))
    assert read_annotations(str(folder)).records == before


def test_entries_of_one_image_with_several_identities_stay_apart(make_dataset: Any, spoil: Any) -> None:
    folder = make_dataset()
    spoil(folder, lambda entries: entries.append(entries[0] | {"id": entries[2]["id"]}))
    annotations = read_annotations(str(folder))
    assert len(annotations.records) == 23
    image = annotations.records[0].image
    assert annotations.notes == (f"1 images have several identities, and are in their split once for each: {image}",)

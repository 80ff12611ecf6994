"""Layouts of datasets other than the published one: each gives the records of the published layout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gckd.cli.data import data
from gckd.data.annotations import read_annotations
from gckd.data.dataset_check import check
from gckd.data.datasets import find_dataset
from gckd.data.identities import number_identities
from gckd.data.image_paths import relative_to_images
from gckd.data.types import Record
from gckd.errors import InputError

NAMES = {"cuhk-pedes": "CUHK-PEDES", "icfg-pedes": "ICFG-PEDES", "rstpreid": "RSTPReid"}
SHORT = {"cuhk-pedes": "cuhk", "icfg-pedes": "icfg", "rstpreid": "rstp"}
Entry = dict[str, Any]


def by_image(records: tuple[Record, ...]) -> dict[str, Record]:
    return {record.image: record for record in records}


def take_entries(folder: Path) -> list[Entry]:
    """Entries of the annotation file of a folder; the file is removed."""
    (file,) = folder.glob("*.json")
    entries: list[Entry] = json.loads(file.read_text())
    file.unlink()
    return entries


def write_rasa(folder: Path, entries: list[Entry]) -> None:
    """train.json, val.json and test.json, with `file_path` in all datasets."""
    (folder / "processed_data").mkdir()
    for entry in entries:
        entry["file_path"] = entry.pop("img_path", entry.get("file_path"))
    for split in ("train", "val", "test"):
        text = json.dumps([entry for entry in entries if entry["split"] == split])
        (folder / "processed_data" / f"{split}.json").write_text(text)


def write_aptm(folder: Path, entries: list[Entry], layout: str, prefix: str) -> None:
    """Entries with other names of the fields; one for each caption in train."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "val", "test"):
        written = []
        for entry in entries:
            image = prefix + entry.get("file_path", entry.get("img_path"))
            fields = {"image": image, "image_id": entry["id"]}
            if entry["split"] == split == "train":
                written += [fields | {"caption": caption} for caption in entry["captions"]]
            elif entry["split"] == split:
                written.append(fields | {"caption": entry["captions"]})
        if written:
            (folder / f"{SHORT[layout]}_{split}.json").write_text(json.dumps(written))


@pytest.mark.parametrize("layout", sorted(NAMES))
@pytest.mark.parametrize("inner", ["", "processed_data"])
def test_files_of_rasa_give_the_published_records(make_dataset: Any, layout: str, inner: str) -> None:
    folder = make_dataset(layout, NAMES[layout])
    published = read_annotations(folder)
    write_rasa(folder, take_entries(folder))
    annotations = read_annotations(folder / inner)
    assert by_image(annotations.records) == by_image(published.records)
    assert (annotations.format, annotations.images, annotations.name) == (layout, folder / "imgs", published.name)
    assert "one file per split, as RaSa's code writes them (train.json, val.json, test.json)" in annotations.notes[0]
    assert read_annotations(find_dataset(folder / inner).spec) == annotations


def test_files_of_rasa_in_a_folder_of_another_name_need_the_format(make_dataset: Any) -> None:
    folder = make_dataset("rstpreid", "mine")
    published = read_annotations(folder)
    write_rasa(folder, take_entries(folder))
    with pytest.raises(InputError, match=r"mine: train.json, val.json, test.json do not name their .* FORMAT:PATH"):
        read_annotations(folder)
    assert by_image(read_annotations(f"rstpreid:{folder}").records) == by_image(published.records)


def test_the_format_selects_one_of_several_datasets_of_rasa(make_dataset: Any, tmp_path: Path) -> None:
    for layout, name in NAMES.items():
        folder = make_dataset(layout, f"all/{name}")
        write_rasa(folder, take_entries(folder))
    for layout, name in NAMES.items():
        assert read_annotations(f"{layout}:{tmp_path / 'all'}").images == tmp_path / "all" / name / "imgs"


def test_the_published_file_is_read_before_those_of_rasa(make_dataset: Any) -> None:
    folder = make_dataset("cuhk-pedes")
    published = read_annotations(folder)
    entries = json.loads((folder / "reid_raw.json").read_text())
    write_rasa(folder, entries[:-1])
    assert read_annotations(folder) == published


def test_an_entry_of_another_split_than_its_file_is_refused(make_dataset: Any) -> None:
    folder = make_dataset("rstpreid", "RSTPReid")
    write_rasa(folder, take_entries(folder))
    file = folder / "processed_data" / "val.json"
    entries = json.loads(file.read_text())
    file.write_text(json.dumps([entries[0], entries[1] | {"split": "test"}]))
    with pytest.raises(InputError, match=r"val.json: entry 1 \(from 0\): 'split' is 'test'; expected 'val'"):
        read_annotations(folder)


@pytest.mark.parametrize(
    ("layout", "prefix", "inner"),
    [
        ("cuhk-pedes", "imgs/", "imgs"),
        ("icfg-pedes", "", ""),
        ("rstpreid", "", ""),
        ("rstpreid", "imgs/", "imgs"),
        ("rstpreid", "", "imgs"),
    ],
)
def test_folders_of_aptm_give_the_published_records(
    make_dataset: Any, tmp_path: Path, layout: str, prefix: str, inner: str
) -> None:
    folder = make_dataset(layout, "published")
    published = read_annotations(folder)
    root = tmp_path / "APTM"
    images = root / "images" / NAMES[layout] / inner
    shutil.copytree(folder / "imgs", images)
    write_aptm(root / "data" / "finetune", take_entries(folder), layout, prefix)
    annotations = read_annotations(root)
    assert by_image(annotations.records) == by_image(published.records)
    assert (annotations.format, annotations.images) == (layout, images)
    assert annotations.name == f"APTM/{NAMES[layout]}" and "as in APTM" in annotations.notes[0]
    assert read_annotations(find_dataset(root).spec) == annotations
    assert read_annotations(root / "images" / NAMES[layout]).records == annotations.records
    assert check(root).problems == []


def test_the_format_selects_one_dataset_of_aptm(make_dataset: Any, tmp_path: Path) -> None:
    root = tmp_path / "APTM"
    for layout, name in NAMES.items():
        folder = make_dataset(layout, f"published/{layout}")
        shutil.copytree(folder / "imgs", root / "images" / name)
        write_aptm(root / "data" / "finetune", take_entries(folder), layout, "")
    with pytest.raises(InputError, match=r"3 annotation files .*cuhk-pedes:data/finetune/cuhk_train.json"):
        read_annotations(root)
    for layout, name in NAMES.items():
        assert read_annotations(f"{layout}:{root}").images == root / "images" / name
    result = CliRunner().invoke(data, ["check", f"icfg-pedes:{root}", f"rstpreid:{root}"])
    assert "published" in result.output and "as in APTM" in result.output


class TestCaptionAll:
    def test_without_splits_it_is_refused_in_one_line(self, make_dataset: Any, spoil: Any) -> None:
        folder = make_dataset("cuhk-pedes")
        spoil(folder, lambda entries: [entry.pop("split") for entry in entries])
        (folder / "reid_raw.json").rename(folder / "caption_all.json")
        expected = f"{folder}/caption_all.json: no entry has a split; use reid_raw.json, .* splits of the paper"
        with pytest.raises(InputError, match=expected):
            read_annotations(folder)

    def test_with_splits_it_is_read(self, make_dataset: Any) -> None:
        folder = make_dataset("cuhk-pedes")
        published = read_annotations(folder)
        (folder / "reid_raw.json").rename(folder / "caption_all.json")
        assert read_annotations(folder).records == published.records

    def test_reid_raw_is_read_before_it(self, make_dataset: Any) -> None:
        folder = make_dataset("cuhk-pedes")
        (folder / "caption_all.json").write_text("[]")
        assert read_annotations(folder).file == folder / "reid_raw.json"


class TestIdentities:
    def test_numbers_stay(self) -> None:
        assert number_identities([3, -1, 3]) == ([3, -1, 3], "")

    def test_numbers_stored_as_text_keep_their_values(self) -> None:
        numbers, note = number_identities(["0003", "12", 3, "0003"])
        assert numbers == [3, 12, 3, 3] and note == "2 identities are stored as text; read as numbers"

    @pytest.mark.parametrize(
        ("names", "numbers"),
        [
            (["p_b", "p_a", "p_b"], [1, 0, 1]),
            (["01", "1", "01"], [0, 1, 0]),  # two spellings of one number are two identities
            (["9" * 30, "8"], [1, 0]),
            (["²", "٣"], [0, 1]),
            ([7, "seven", "7"], [0, 1, 0]),
        ],
    )
    def test_names_are_numbered_in_alphabetical_order(self, names: list[int | str], numbers: list[int]) -> None:
        assert number_identities(names)[0] == numbers
        assert "numbered 0 to 1 in alphabetical order" in number_identities(names)[1]

    @pytest.mark.parametrize("kind", ["0{}", "person {}"])
    def test_a_dataset_with_text_identities_has_the_same_groups(self, make_dataset: Any, spoil: Any, kind: str) -> None:
        folder = make_dataset()
        before = by_image(read_annotations(folder).records)
        spoil(folder, lambda entries: [entry.update(id=kind.format(entry["id"])) for entry in entries])
        after = read_annotations(folder)
        pairs = {(before[record.image].identity, record.identity) for record in after.records}
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) == 11
        assert "11 identities are stored as text" in after.notes[-1]

    @pytest.mark.parametrize("value", ["", "  ", None, 1.5, [1], "\ud800"])
    def test_other_values_are_refused(self, make_dataset: Any, spoil: Any, value: object) -> None:
        folder = make_dataset()
        spoil(folder, lambda entries: entries[3].update(id=value))
        with pytest.raises(InputError, match=r"entry 3 \(from 0\): 'id' is .*; expected a 64-bit integer or a text"):
            read_annotations(folder)


@pytest.mark.parametrize(
    "spelling",
    [
        "imgs/{}",
        "./imgs/{}",
        "RSTPReid/imgs/{}",
        "/data/RSTPReid/imgs/{}",
        "../imgs/{}",
        "imgs\\{}",
        "{}",
        "C:\\data\\RSTPReid\\imgs\\{}",
        ".\\imgs\\{}",
    ],
)
def test_other_spellings_of_image_paths_are_read(make_dataset: Any, spoil: Any, spelling: str) -> None:
    folder = make_dataset()
    published = read_annotations(folder)
    is_windows = "\\" in spelling or spelling == "{}"

    def respell(entries: list[Entry]) -> None:
        for entry in entries:
            path = entry["img_path"].replace("/", "\\") if is_windows else entry["img_path"]
            entry["img_path"] = spelling.format(path)

    spoil(folder, respell)
    annotations = read_annotations(folder)
    assert annotations.records == published.records
    assert len(annotations.notes) == is_windows + ("imgs" in spelling)
    assert not is_windows or annotations.notes[0] == "22 image paths have Windows separators; read with /"
    assert check(folder).problems == []


def test_a_path_that_names_a_file_is_left_as_it_is(tmp_path: Path) -> None:
    images = tmp_path / "imgs"
    (images / "imgs").mkdir(parents=True)
    (images / "a\\b.png").touch()
    assert relative_to_images(["a\\b.png", "imgs/c.png"], images) == (["a\\b.png", "imgs/c.png"], [])


def test_many_prefixes_have_one_note(tmp_path: Path) -> None:
    names = [f"/disk{number}/imgs/a.png" for number in range(1_000)]
    paths, notes = relative_to_images(names, tmp_path / "imgs")
    assert set(paths) == {"a.png"} and len(notes) == 1 and "/disk4/imgs/ and 995 more" in notes[0]


@pytest.mark.parametrize("path", ["imgs/../../secret.png", "/imgs/../secret.png", "imgs\\..\\..\\secret.png", "imgs/"])
def test_no_spelling_leads_out_of_the_image_folder(make_dataset: Any, spoil: Any, path: str) -> None:
    folder = make_dataset()
    spoil(folder, lambda entries: entries[3].update(img_path=path))
    with pytest.raises(InputError, match="expected a path inside imgs/"):
        read_annotations(folder)

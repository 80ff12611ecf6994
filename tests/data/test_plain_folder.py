"""Plain folder of images with captions.csv or captions.jsonl."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gckd.data.annotations import read_annotations
from gckd.data.dataset_check import check
from gckd.data.datasets import find_dataset
from gckd.data.types import SPLITS, Record
from gckd.errors import InputError
from tests.data.conftest import draw

FULL = [
    {
        "image": f"{split}/{identity}-{view}.png",
        "caption": f"{identity} in a coat, {view}",
        "identity": f"person {identity}",
    }
    | {"split": split}
    for identity, split in enumerate(("train", "train", "val", "test"))
    for view in range(2)
]


def write_folder(folder: Path, lines: list[dict[str, Any]], file: str = "captions.csv") -> Path:
    """The images of the lines, and the file."""
    folder.mkdir(exist_ok=True)
    for number, image in enumerate(dict.fromkeys(str(line["image"]) for line in lines)):
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        draw(number, 0).save(folder / image)
    if file.endswith(".jsonl"):
        (folder / file).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    else:
        with (folder / file).open("w", newline="", encoding="utf-8") as opened:
            writer = csv.DictWriter(opened, lines[0].keys())
            writer.writeheader()
            writer.writerows(lines)
    return folder


def without(*columns: str, lines: list[dict[str, Any]] = FULL) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key not in columns} for line in lines]


@pytest.mark.parametrize("file", ["captions.csv", "captions.jsonl"])
@pytest.mark.parametrize("prefix", ["", "folder:"])
def test_both_files_are_read_alike(tmp_path: Path, file: str, prefix: str) -> None:
    folder = write_folder(tmp_path / "people", FULL, file)
    annotations = read_annotations(f"{prefix}{folder}")
    expected = tuple(
        Record(line["image"], (line["caption"],), int(line["identity"].removeprefix("person ")), line["split"])
        for line in FULL
    )
    assert annotations.records == expected
    assert (annotations.format, annotations.images, annotations.notes) == ("folder", folder, ())


def test_the_lines_of_an_image_are_joined(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "people", [*FULL, FULL[0] | {"caption": "another"}, FULL[1] | {"caption": ""}])
    records = {record.image: record for record in read_annotations(folder).records}
    assert len(records) == len(FULL)
    assert records["train/0-0.png"].captions == ("0 in a coat, 0", "another")
    assert records["train/0-1.png"].captions == ("0 in a coat, 1",)


def test_json_lines_may_have_numbers_and_several_captions(tmp_path: Path) -> None:
    lines = [line | {"identity": number, "caption": ["a", "b"]} for number, line in enumerate(FULL)]
    records = read_annotations(write_folder(tmp_path / "people", lines, "captions.jsonl")).records
    assert [record.identity for record in records] == list(range(len(FULL)))
    assert {record.captions for record in records} == {("a", "b")}


def test_without_identities_each_image_is_one(tmp_path: Path) -> None:
    annotations = read_annotations(write_folder(tmp_path / "people", without("identity")))
    assert len({record.identity for record in annotations.records}) == len(FULL)
    (note,) = annotations.notes
    assert note.startswith(f"no identities are given: each of the {len(FULL)} images is its own identity.")
    assert "Retrieval of a person cannot be measured" in note


def test_without_splits_the_hash_of_an_identity_decides(tmp_path: Path) -> None:
    lines = [
        {"image": f"{identity}-{view}.png", "caption": "a", "identity": f"p{identity}"}
        for identity in range(20)
        for view in range(2)
    ]
    annotations = read_annotations(write_folder(tmp_path / "people", lines))
    ranked = sorted(range(20), key=lambda identity: hashlib.sha256(f"p{identity}".encode()).hexdigest())
    expected = {identity: ("test", "val", "train")[(rank >= 4) + (rank >= 6)] for rank, identity in enumerate(ranked)}
    assert all(record.split == expected[int(record.image.partition("-")[0])] for record in annotations.records)
    assert annotations.notes == (
        "no splits are given: identities are split by a hash of their names (14 train, 2 val, 4 test)",
    )
    again = read_annotations(write_folder(tmp_path / "reversed", lines[::-1]))
    assert set(again.records) == set(annotations.records)


def test_only_images_and_captions_suffice(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "people", without("identity", "split"))
    annotations = read_annotations(folder)
    assert {record.split for record in annotations.records} == set(SPLITS)
    assert [note.partition(":")[0] for note in annotations.notes] == [
        "no identities are given",
        "no splits are given",
    ]
    store = find_dataset(folder).open_store(tmp_path / "cache")
    assert store.notes == annotations.notes
    result = check(folder)
    assert result.problems == [] and len(result.notes) == 2


def test_without_identities_no_problem_speaks_of_them(tmp_path: Path) -> None:
    """Two images of one person may have one caption. A picture that occurs twice is a problem all the same."""
    lines = [line | {"caption": "a man in a coat"} for line in FULL]
    folder = write_folder(tmp_path / "people", without("identity", lines=lines))
    assert check(folder).problems == []
    shutil.copy(folder / lines[0]["image"], folder / lines[1]["image"])
    (problem,) = check(folder).problems
    assert problem.text == f"1 pictures are in train under several paths: {lines[0]['image']} = {lines[1]['image']}"
    named = write_folder(tmp_path / "named", lines)
    assert [problem.text.partition(":")[0] for problem in check(named).problems] == [
        "1 captions are of several identities"
    ]


def test_a_val_split_is_held_out_of_train(tmp_path: Path) -> None:
    lines = [line for line in FULL if line["split"] != "val"]
    annotations = read_annotations(write_folder(tmp_path / "people", lines))
    assert [record.split for record in annotations.records].count("val") == 2
    assert annotations.notes == ("folder has no val split: 1 of 2 train identities were held out as val",)


def test_windows_paths_and_the_name_of_the_folder_are_understood(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "people", FULL)
    text = (folder / "captions.csv").read_text().replace("train/", "C:\\data\\people\\train\\")
    (folder / "captions.csv").write_text(text, encoding="utf-8-sig")
    annotations = read_annotations(folder)
    assert [record.image for record in annotations.records] == [line["image"] for line in FULL]
    assert len(annotations.notes) == 2


HEADER = "image,caption,identity,split\n"
REFUSED = [
    (HEADER + "a.png,a man, in red,1,train\n", "line 2: 5 cells for 4 columns; quote a caption that contains commas"),
    (HEADER + "a.png,a man\n", "line 2: 2 cells for 4 columns; an empty cell needs its comma too"),
    (HEADER + '\na.png,"a\nman",1,train\nb.png,a,2,dev\n', "line 5, column 'split': 'dev'; expected one of train, val"),
    (HEADER + "a.png,a,1,train\nb.png,b,,train\n", "line 3, column 'identity': is empty, but line 2 has one; fill all"),
    (HEADER + "a.png,a,1,train\na.png,b,2,train\n", "line 3, column 'identity': '2'; expected '1', as on line 2"),
    (HEADER + "../a.png,a,1,train\n", "line 2, column 'image': '../a.png'; expected a path inside the folder"),
    (HEADER + "/etc/a.png,a,1,train\n", "line 2, column 'image': '/etc/a.png'; expected a path inside the folder"),
    (HEADER + ",a,1,train\n", "line 2, column 'image': ''; expected the path of an image"),
    (HEADER + 'a.png,"a,1,train\n', "line 2: broken CSV (unexpected end of data); check the quotes of this line"),
    (HEADER, "has no line with an image; expected one line for each caption"),
    ("", "line 1: no column 'image'; columns present: none"),
    ("image;caption\na.png;a\n", "line 1: no column 'image'; separate columns by commas"),
    ("image,text\na.png,a\n", "line 1: no column 'caption'; columns present: 'image', 'text'"),
    ("image,caption,spilt\na.png,a,train\n", "line 1: unknown column 'spilt'; did you mean 'split'?"),
    ("image,caption,caption\na.png,a,b\n", "line 1: two columns have one name (image, caption, caption); rename one"),
    ("image,caption\na.png,a\nb.png,b\n", "2 identities cannot be split into train, val, test; give at least 3"),
    (HEADER + "a.png,a,1,train\n", "no line has the split 'test'; add such lines, or leave the column out"),
]


@pytest.mark.parametrize(("content", "message"), REFUSED)
def test_an_error_names_line_column_and_remedy(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "captions.csv").write_text(content)
    with pytest.raises(InputError) as refusal:
        read_annotations(tmp_path)
    assert str(refusal.value).startswith(f"{tmp_path / 'captions.csv'}") and message in str(refusal.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "line 2: not JSON: "),
        (b"[" * 40, "line 2: lists and objects inside each other, more than 32 deep; expected one object on each line"),
        (b"[1]", "line 2: expected an object, got [1]"),
        (b'{"image": "a.png"}', "line 2: no column 'caption'; columns present: 'image'"),
        (b'{"image": 3, "caption": "a"}', "line 2, column 'image': 3; expected the path of an image"),
        (b'{"image": "a.png", "caption": ["a", 1]}', "line 2, column 'caption': ['a', 1]; expected a text"),
        (b'{"image": "a.png", "caption": "\\ud800"}', "line 2, column 'caption': '\\ud800'; expected a text"),
        (b'{"image": "a.png", "caption": "a", "identity": 1.5}', "column 'identity': 1.5; expected a text or a 64-bit"),
        (b'{"image": "a.png", "caption": "a", "identity": true}', "column 'identity': True; expected a text or"),
        (b'{"image": "a.png", "caption": "\xff"}', "line 2: is not UTF-8; save the file with the encoding UTF-8"),
        (b'{"image": "a.png", "caption": "a", "identitty": 1}', "unknown column 'identitty'; did you mean 'identity'?"),
    ],
)
def test_an_error_of_json_lines_names_line_and_column(tmp_path: Path, line: bytes, message: str) -> None:
    (tmp_path / "captions.jsonl").write_bytes(b'{"image": "a.png", "caption": "a"}\n' + line + b"\n")
    with pytest.raises(InputError) as refusal:
        read_annotations(tmp_path)
    assert message in str(refusal.value)


def test_two_files_in_one_folder_are_refused(tmp_path: Path) -> None:
    for file in ("captions.csv", "captions.jsonl"):
        write_folder(tmp_path, FULL, file)
    with pytest.raises(InputError, match=r"has captions.csv and captions.jsonl; remove one of the two"):
        read_annotations(tmp_path)


def test_a_column_of_another_name_is_named_in_a_note(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "people", [line | {"camera": 1} for line in FULL])
    assert read_annotations(folder).notes == ("columns that are not read: camera",)


def test_a_file_instead_of_its_folder_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "people", FULL)
    with pytest.raises(InputError, match=f"is a file; give its folder, {folder}"):
        read_annotations(folder / "captions.csv")

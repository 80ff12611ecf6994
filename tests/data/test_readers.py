"""Registry of dataset readers, and a reader that is defined outside the package."""

from __future__ import annotations

import csv
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gckd.data.annotations import read_annotations
from gckd.data.dataset_check import check
from gckd.data.datasets import find_dataset
from gckd.data.readers import READERS, DatasetReader, register_reader
from gckd.data.types import Record
from gckd.errors import InputError
from tests.data.conftest import draw

# The complete file of a user; every line counts for "how long is a reader of your own".
PLUGIN = """
import csv

from gckd.data.readers import DatasetReader, register_reader
from gckd.data.types import Record


@register_reader("test-csv")
class CsvReader(DatasetReader):
    annotation_files = ("my-captions.csv",)
    image_folder = "photos"

    def read(self, file):
        with file.open(newline="") as rows:
            for row in csv.DictReader(rows):
                yield Record(row["image"], (row["caption"],), int(row["identity"]), row["split"])
"""
ROWS = [
    (f"{split}-{identity}.png", f"person {identity} in a coat", identity, split)
    for identity, split in enumerate(["train", "train", "train", "val", "test"])
]


@pytest.fixture
def csv_format(tmp_path: Path) -> Iterator[str]:
    """Name of a format whose reader is in a file outside the package."""
    file = tmp_path / "my_reader.py"
    file.write_text(PLUGIN)
    spec = importlib.util.spec_from_file_location("my_reader", file)
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    yield "test-csv"
    del READERS["test-csv"]


def write_dataset(folder: Path, rows: list[tuple[str, str, object, str]]) -> Path:
    """A CSV file of image, caption, identity and split beside its images."""
    (folder / "photos").mkdir(parents=True)
    for number, (image, *_) in enumerate(rows):
        if "/" not in image:
            draw(number, 0).save(folder / "photos" / image)
    with (folder / "my-captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "caption", "identity", "split"), *rows])
    return folder


def test_the_commands_take_its_file(tmp_path: Path) -> None:
    """In a process of its own, because a loaded plugin stays loaded."""
    folder, plugin = write_dataset(tmp_path / "set", ROWS), tmp_path / "my_reader.py"
    plugin.write_text(PLUGIN)
    arguments = ["data", "check", f"test-csv:{folder}", "--plugin", str(plugin)]
    process = subprocess.run(
        [sys.executable, "-m", "gckd", *arguments],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "") and "problems: none" in process.stdout


@pytest.mark.parametrize("prefix", ["", "test-csv:"])
def test_a_reader_of_a_user_reads_a_dataset(csv_format: str, tmp_path: Path, prefix: str) -> None:
    folder = write_dataset(tmp_path / "set", ROWS)
    annotations = read_annotations(f"{prefix}{folder}")
    expected = tuple(Record(image, (caption,), identity, split) for image, caption, identity, split in ROWS)
    assert annotations.records == expected
    assert (annotations.format, annotations.images) == (csv_format, folder / "photos")


def test_its_dataset_is_stored_and_checked_like_any_other(csv_format: str, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "set", ROWS)
    dataset = find_dataset(folder)
    store = dataset.open_store(str(tmp_path / "cache"))
    assert (dataset.spec, dataset.published, store.format) == (f"{csv_format}:{folder}", "", csv_format)
    assert store.counts["train"] == {"images": 3, "identities": 3, "captions": 3}
    split = store.labelled("train")
    for row, image in enumerate(split.caption_image):
        identity = split.image_identities[image]
        assert split.captions[row] == f"person {identity} in a coat"
        assert split.images.encoded(image) == (folder / "photos" / f"train-{identity}.png").read_bytes()
    result = check(folder)
    assert result.problems == [] and {row.published for row in result.rows} == {None}


def test_a_changed_reader_gives_another_store_of_the_same_files(csv_format: str, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "set", ROWS)
    first = find_dataset(folder).open_store(tmp_path / "cache")

    class Shouting(DatasetReader):
        annotation_files = ("my-captions.csv",)
        image_folder = "photos"

        def read(self, file: Path) -> Iterator[Record]:
            for image, caption, identity, split in ROWS:
                yield Record(image, (caption.upper(),), identity, split)

    READERS[csv_format] = Shouting()
    second = find_dataset(folder).open_store(tmp_path / "cache")
    assert first.digest != second.digest and second.unlabelled("train").captions[0].isupper()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("../secret.png", "a coat", 9, "train"), "'image' is '../secret.png'; expected a path inside photos/"),
        (("a.png", "a coat", 9, "dev"), "'split' is 'dev'; expected one of train, val, test"),
        (("a.png", "a coat", 2**63, "train"), "'identity' is 9223372036854775808; expected a 64-bit integer"),
        (("a.png", "a coat", "nine", "train"), "not in the expected format .*'nine'"),
    ],
)
def test_its_values_are_checked(
    csv_format: str, tmp_path: Path, row: tuple[str, str, object, str], message: str
) -> None:
    folder = write_dataset(tmp_path / "set", [*ROWS, row])
    with pytest.raises(InputError, match=message) as refusal:
        read_annotations(folder)
    assert str(refusal.value).startswith(f"{folder / 'my-captions.csv'}: ")


def test_an_unknown_format_lists_the_registered_ones(csv_format: str, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="unknown format 'market'; choose from cuhk-pedes, .*, rstpreid, folder, test-csv"
    ):
        read_annotations(f"market:{tmp_path}")


def test_a_format_name_is_registered_once() -> None:
    with pytest.raises(InputError, match=r"'rstpreid': registered already by gckd.data.readers.RstpReidReader"):

        @register_reader("rstpreid")
        class Second(DatasetReader):
            def read(self, file: Path) -> list[Record]:
                return []


@pytest.mark.parametrize("name", ["", "My-CSV", "a:b", "a/b", "1csv"])
def test_a_malformed_format_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="expected lower-case letters, digits and hyphens"):
        register_reader(name)(type(READERS["rstpreid"]))

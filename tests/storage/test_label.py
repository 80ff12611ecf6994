"""Labels of rows, subtables and studies, and the folders named after them."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from gckd.errors import InputError
from gckd.storage.label import Label, check_distinct, run_folder
from gckd.storage.path import StoragePath

ESCAPES = ["..", ".", "", "_", "../x", "a/b", "a\\b", "/etc", ".hidden", "~/x", "a\0b", "a\nb", "a\x1b[2Jb", "a\u202eb"]
RESERVED = ["config.yaml", "Runs.parquet", "figures", "trials"]
DEVICES = ["CON", "nul.txt", "COM¹", "lpt³.x", "conin$", "CONOUT$.a"]


@pytest.mark.parametrize("text", [*ESCAPES, *RESERVED, *DEVICES, "x" * 201, "é" * 101, "a ", "a."])
def test_a_text_that_is_no_safe_folder_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError) as error:
        Label(text)
    assert "\n" not in str(error.value) and str(error.value).isprintable() and len(str(error.value)) < 300


@pytest.mark.parametrize("text", ["full", "+gmp", "graph.propagate.k=3", "shift-0.5", "x" * 200, "图", "my study"])
def test_a_label_is_its_own_folder(text: str) -> None:
    assert Label(text).folder == Label(text) == text


def test_a_folder_never_starts_with_a_dash() -> None:
    assert Label("-gmp-cmkd").folder == "without-gmp-cmkd"
    with pytest.raises(InputError, match="row without-gmp: has the same folder as row -gmp"):
        check_distinct(["full", "-gmp", "without-gmp"])


@pytest.mark.parametrize("labels", [("k", "K"), ("ﬁ", "fi"), ("e\u0301", "é")])
def test_labels_that_some_file_systems_cannot_tell_apart_are_refused(labels: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="has the same folder as row"):
        check_distinct(labels)


@pytest.mark.parametrize("text", ESCAPES)
def test_every_folder_of_a_run_is_in_its_table(text: str, tmp_path: Path) -> None:
    try:
        folder = run_folder(tmp_path, Label.of(text), 3)
    except InputError:
        return
    assert folder.parent.parent == tmp_path and folder.name == "seed-3"


def test_a_link_out_of_the_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "table" / "full").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="is outside of"):
        run_folder(tmp_path / "table", "full", 0)


@pytest.mark.parametrize("name", ["..", "../x", "a/../../b", "/etc", "", "a//b"])
def test_a_path_has_no_names_that_lead_out_of_it(name: str) -> None:
    for root in ("/data", "s3://bucket/data"):
        with pytest.raises(InputError, match="is not the name of a file or folder in it"):
            StoragePath(root) / name


def test_a_label_can_be_sent_to_a_worker() -> None:
    assert pickle.loads(pickle.dumps(Label("-gmp"))) == Label("-gmp")

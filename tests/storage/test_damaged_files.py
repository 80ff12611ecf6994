"""Files that are damaged: built again, or named in one line."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gckd.data.annotations import read_annotations
from gckd.data.store import Store
from gckd.data.store_builder import build_store
from gckd.data.street.arguments import existing_counts
from gckd.errors import InputError
from gckd.report.checks.graph_picture import graph_arrays
from gckd.runs.records import Records
from gckd.storage.launches import read_launches
from gckd.storage.parquet_file import read_table, write_parquet
from gckd.storage.run_tables import read_runs
from gckd.tune.storage import open_storage
from tests.report.records import record
from tests.toy import make_toy


def message(function: Any, *arguments: Any) -> str:
    with pytest.raises(InputError) as error:
        function(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "name", ["captions.arrow", "images.arrow", "labels.arrow", "../meta.json", "../../index/*.json"]
)
@pytest.mark.parametrize("size", [0, 7])
def test_a_store_with_a_damaged_file_is_built_again(name: str, size: int, tmp_path: Path) -> None:
    annotations = read_annotations(str(make_toy(tmp_path / "toy")))
    built = build_store(annotations, tmp_path / "cache")
    (file,) = (built.path / "train").parent.glob(f"train/{name}") if ".." not in name else built.path.glob(name[3:])
    content = file.read_bytes()
    file.write_bytes(content[:size])
    again = build_store(annotations, tmp_path / "cache")
    assert (again.digest, file.read_bytes()) == (built.digest, content)
    assert Store.is_whole(again.path)


def test_damaged_pixels_are_decoded_again(tmp_path: Path) -> None:
    store = build_store(read_annotations(str(make_toy(tmp_path / "toy"))), tmp_path / "cache")
    expected = store.unlabelled("train").images.decoded(16, 8).tobytes()
    (file,) = (store.path / "train").glob("*.npy")
    for content in (b"", file.read_bytes()[:-1], bytes(file.stat().st_size)):
        file.write_bytes(content)
        assert store.unlabelled("train").images.decoded(16, 8).tobytes() == expected


@pytest.mark.parametrize("place", [0.05, 0.5, 1.0])
def test_a_changed_byte_of_decoded_pixels_is_repaired(place: float, tmp_path: Path) -> None:
    store = build_store(read_annotations(str(make_toy(tmp_path / "toy"))), tmp_path / "cache")
    expected = store.unlabelled("train").images.decoded(16, 8).tobytes()
    (file,) = (store.path / "train").glob("*.npy")
    content = bytearray(file.read_bytes())
    content[round(place * (len(content) - 1))] ^= 1
    file.write_bytes(content)
    assert store.unlabelled("train").images.decoded(16, 8).tobytes() == expected
    assert bytes(content) != file.read_bytes()


def _with_changed_byte(file: Path, value: bytes) -> bytes:
    """Flip one bit of the first place in the file that holds `value`, which stays readable; returns the old content."""
    content = file.read_bytes()
    place = content.index(value)
    file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    return content


@pytest.mark.parametrize(
    ("name", "value"), [("captions", b"person"), ("labels", b"\x03\0\0\0\0\0\0\0"), ("images", b"IDAT")]
)
def test_a_changed_byte_of_a_store_never_changes_a_result(name: str, value: bytes, tmp_path: Path) -> None:
    annotations = read_annotations(str(make_toy(tmp_path / "toy")))
    built = build_store(annotations, tmp_path / "cache")
    file = built.path / "train" / f"{name}.arrow"
    content = _with_changed_byte(file, value)
    again = build_store(annotations, tmp_path / "cache")
    if name == "images":  # read in full when they are decoded
        remedy = f"delete the folder {built.path}"
        assert message(again.unlabelled("train").images.decoded, 16, 8) == (
            f"{file}: damaged (its check sum is wrong); {remedy}"
        )
    else:
        assert file.read_bytes() == content


CHANGES: list[dict[str, Any]] = [
    {"rank_1": None},
    {"rank_1": float("nan")},
    {"notes": ""},
    {"notes": "{}"},
    {"edits": "not json"},
    {"edits": None},
    {"row": "../x"},
    {"row": None},
    {"status": "maybe"},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_changed_record_is_named(change: dict[str, Any], tmp_path: Path) -> None:
    Records(tmp_path).add(record("full", 0, 50.0))
    file = tmp_path / "runs.parquet"
    table = pq.read_table(file)
    pq.write_table(pa.Table.from_pylist([{**table.to_pylist()[0], **change}], schema=table.schema), file)
    assert message(read_runs, file).startswith(f"{file}: damaged (row 0: ")


def test_a_missing_column_and_another_type_are_named(tmp_path: Path) -> None:
    Records(tmp_path).add(record("full", 0, 50.0))
    file = tmp_path / "runs.parquet"
    table = pq.read_table(file)
    pq.write_table(table.drop_columns(["rank_1"]), file)
    assert "lacks the columns rank_1" in message(read_runs, file)
    pq.write_table(table.set_column(table.schema.get_field_index("seed"), "seed", pa.array(["x"])), file)
    assert message(read_runs, file).startswith(f"{file}: cannot be read (")


@pytest.mark.parametrize("text", ["", "[{", "{}", "[1]", '[{"command": 3}]', "[" * 100_000])
def test_a_damaged_log_of_launches_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "launches.json").write_text(text)
    assert "launches.json: damaged (" in message(read_launches, tmp_path / "launches.json")


def test_the_damaged_line_of_a_journal_is_named(tmp_path: Path) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(storage=open_storage(None, tmp_path))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), 3)
    file = tmp_path / "study.journal"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:4], bytes(len(lines[4]) - 1) + b"\n", *lines[5:]]))
    rest = f"is damaged in line 5; the other {len(lines) - 1} of {len(lines)} lines are whole"
    assert rest in message(open_storage, None, tmp_path)


@pytest.mark.parametrize(
    ("third", "problem"),
    [
        (b'{"op_code":' + b"[" * 2**20, "is longer; the limit of a line is 1,048,576 bytes"),
        (b'{"op_code":' + b"[" * 40 + b"]" * 40 + b"}\n", "has more levels of lists; the limit is 32"),
    ],
)
def test_a_line_of_a_journal_beyond_a_limit_is_named(third: bytes, problem: str, tmp_path: Path) -> None:
    line = b'{"op_code": 0, "worker_id": "a", "study_name": "s", "directions": [1]}\n'
    (tmp_path / "study.journal").write_bytes(line.replace(b": ", b":", 1) * 2 + third)
    assert f"study.journal: line 3 {problem}" in message(open_storage, None, tmp_path)


def test_offsets_beyond_an_arrow_file_are_refused(tmp_path: Path) -> None:
    """Arrow itself would end the process, or read memory that is not of the file."""
    store = build_store(read_annotations(str(make_toy(tmp_path / "toy"))), tmp_path / "cache")
    file = store.path / "train" / "images.arrow"
    content, end = file.read_bytes(), len(store.unlabelled("train").images.encoded(0))
    offset = content.index(end.to_bytes(4, "little"))  # end of the first image
    file.unlink()
    file.write_bytes(content[:offset] + (2**31 - 1).to_bytes(4, "little") + content[offset + 4 :])
    assert "offset" in message(Store.open, store.path)


@pytest.mark.parametrize(
    ("column", "values"), [("image", pa.array([1, 2])), ("image", pa.array([b"", None])), ("other", pa.array([b""]))]
)
def test_other_columns_of_an_arrow_file_are_refused(column: str, values: pa.Array, tmp_path: Path) -> None:
    store = build_store(read_annotations(str(make_toy(tmp_path / "toy"))), tmp_path / "cache")
    file = store.path / "train" / "images.arrow"
    file.unlink()
    table = pa.table({column: values})
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    assert message(Store.open, store.path).startswith(f"{store.path / 'train'}: damaged (")


@pytest.mark.parametrize("text", ["", "[]", '{"counts": 3}', '{"counts": {"RSTPReid": {"train": {"ids": 1}}}}'])
def test_a_damaged_description_of_a_street_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "street.json").write_text(text)
    assert "street.json: damaged (" in message(existing_counts, tmp_path, {"ids": 24})


def graph_sample(**changes: Any) -> dict[str, Any]:
    arrays = {"nodes": np.eye(4, dtype=np.float32), "target": np.arange(4) > 1, "edges": np.array([[0, 1]], np.int32)}
    return {f"{kind}_{name}": array for kind in ("image", "text") for name, array in arrays.items()} | changes


@pytest.mark.parametrize(
    "change",
    [
        {"image_edges": np.array([[0, 4]], np.int32)},
        {"image_nodes": np.full((4, 2), np.nan, np.float32)},
        {"text_target": np.zeros(3, bool)},
        {"text_nodes": np.zeros(4, np.float32)},
    ],
    ids=str,
)
def test_a_damaged_graph_sample_is_named(change: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "graph.npz"
    np.savez(file, allow_pickle=False, **graph_sample())
    assert set(graph_arrays(file)) == set(graph_sample())
    content = file.read_bytes()
    np.savez(file, allow_pickle=False, **graph_sample(**change))
    assert message(graph_arrays, file).startswith(f"{file}: damaged; ")
    file.write_bytes(content[:-100])
    assert message(graph_arrays, file).startswith(f"{file}: cannot be read (")


def test_one_changed_value_of_a_parquet_file_is_noticed(tmp_path: Path) -> None:
    """Arrow reads it without a word unless it has a check sum to compare."""
    file, schema = tmp_path / "runs.parquet", pa.schema([("rank_1", pa.float64())])
    write_parquet(pa.table({"rank_1": [12.0, 50.0, 61.5]}), file)
    assert read_table(file, schema, "delete it").column("rank_1").to_pylist() == [12.0, 50.0, 61.5]
    changed = file.read_bytes().replace(b"\0I@", b"\0Y@", 1)  # the ends of 50.0 and 100.0, as doubles
    assert struct.unpack("<2d", b"\0\0\0\0\0\0I@\0\0\0\0\0\0Y@") == (50.0, 100.0)
    file.write_bytes(changed)
    assert pq.read_table(file).column("rank_1").to_pylist() == [12.0, 100.0, 61.5]
    with pytest.raises(InputError, match=r"runs.parquet: cannot be read \(.*; delete it"):
        read_table(file, schema, "delete it")

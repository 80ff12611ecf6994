"""Small files that unpack to much, and tables without rows: refused before their content is in memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gckd.data.arrow_file import COLUMNS, read_arrow
from gckd.errors import InputError
from gckd.report.checks.graph_picture import graph_arrays
from gckd.storage import parquet_file
from gckd.storage.examples_table import EXAMPLES, read_examples
from gckd.storage.parquet_file import read_table
from gckd.storage.run_tables import CURVES, QUERIES, RUNS, read_curves, read_queries_table, read_runs

TEXTS = pa.schema([("text", pa.string())])
_HUGE_LIST = """
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
count = 100_000_000
numbers = pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), pa.array(np.zeros(count, np.int32)))
pq.write_table(pa.table([numbers], names=["top"]), sys.argv[1], compression="zstd")
"""
LISTS = pa.schema([("top", pa.list_(pa.int32()))])


@pytest.mark.parametrize(
    ("column", "schema", "message"),
    [
        (pa.nulls(10_000_001, pa.string()), TEXTS, "10,000,001 rows; the limit is 10,000,000"),
        (
            pa.array([np.zeros(300_000, np.int32)], pa.list_(pa.int32())),
            LISTS,
            "1,2..,... bytes of unpacked values; the limit is 1,000,000",
        ),
        (pa.array(["x" * 2_000_000]), TEXTS, "bytes of unpacked values; the limit is 1,000,000"),
        # The dictionary has one text: the file declares 100,000 bytes.
        (pa.array(["x" * 100_000] * 2000), TEXTS, "100,00.,... bytes of unpacked values; the limit is 1,000,000"),
    ],
)
def test_a_small_parquet_file_that_unpacks_to_much_is_refused(
    column: pa.Array, schema: pa.Schema, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_file, "MAX_BYTES", 1_000_000)
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table([column], schema=schema), file, compression="zstd")
    assert file.stat().st_size < 1_000_000
    with pytest.raises(InputError, match=rf"a.parquet: cannot be read \(.*{message}.*\); delete it"):
        read_table(file, schema, "delete it")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the memory of a process")
def test_a_row_with_a_huge_list_is_refused_before_it_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row repeats a value 100 million times: a file of less than a kilobyte unpacks to 400 MB.

    Another process writes it: memory that Arrow keeps for later would be there for reading it.
    """
    monkeypatch.setattr(parquet_file, "MAX_BYTES", 8_000_000)
    file = tmp_path / "a.parquet"
    subprocess.run([sys.executable, "-c", _HUGE_LIST, file], check=True)
    assert file.stat().st_size < 1000
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(InputError, match="a row unpacks to more than the limit of 8,000,000 bytes.*; delete it"):
        read_table(file, LISTS, "delete it")
    assert resource.getrlimit(resource.RLIMIT_AS) == before


@pytest.mark.parametrize("value", [0, 1, 3, 255])
def test_an_arrow_file_with_one_changed_byte_never_ends_the_process(value: int, tmp_path: Path) -> None:
    """A process that ends fails the whole test run. Every byte of the messages before the values is changed."""
    file = tmp_path / "captions.arrow"
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, COLUMNS[file.name]) as writer:
        writer.write_batch(pa.record_batch([pa.array(["VALUES", "VALUES"])], schema=COLUMNS[file.name]))
    valid, damaged = file.read_bytes(), tmp_path / "changed" / file.name
    damaged.parent.mkdir()
    problems = set()
    for place in range(valid.index(b"VALUES")):
        damaged.write_bytes(valid[:place] + bytes([value]) + valid[place + 1 :])
        try:
            read_arrow(damaged)
        except (OSError, ValueError) as error:
            problems.add(str(error))
    assert len(problems) > 3


@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_a_compressed_arrow_file_is_refused(compression: str | None, tmp_path: Path) -> None:
    file = tmp_path / "captions.arrow"
    batch = pa.record_batch([pa.array(["x" * 1000] * 100)], schema=COLUMNS[file.name])
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, batch.schema, options=options) as writer:
        for _ in range(3):
            writer.write_batch(batch)
    if compression is None:
        assert read_arrow(file).column("caption").to_pylist() == ["x" * 1000] * 300
    else:
        with pytest.raises(ValueError, match="compressed"):
            read_arrow(file)


def test_a_graph_sample_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "graph.npz", image_nodes=np.zeros((2**12, 2**13), np.float32))
    assert (tmp_path / "graph.npz").stat().st_size < 200_000
    with pytest.raises(
        InputError, match=r"graph.npz: cannot be read \(134,217,856 bytes of arrays; the limit is 67,108"
    ):
        graph_arrays(tmp_path / "graph.npz")


def test_tables_without_rows_are_read_or_refused(tmp_path: Path) -> None:
    for name, schema in (("runs", RUNS), ("curves", CURVES), ("queries", QUERIES)):
        pq.write_table(schema.empty_table(), tmp_path / f"{name}.parquet")
    assert read_runs(tmp_path / "runs.parquet") == read_curves(tmp_path / "curves.parquet") == []
    with pytest.raises(InputError, match=r"queries.parquet: damaged \(no rows\)"):
        read_queries_table(tmp_path / "queries.parquet")


ROW = {"query": 3, "caption": "a", "kind": "b", "row": "full", "rank": 1, "ap": 1.0, "images": [b"x"], "hits": [True]}
ABOUT = {"seed": 0, "against": "", "random": 4, "each": 2, "queries": 30, "better": 11, "worse": 5}


@pytest.mark.parametrize(
    ("row", "about", "message"),
    [
        ({}, {"seed": "x"}, "its description: seed is not a JSON integer"),
        ({}, None, "its description: not JSON"),
        ({"hits": []}, {}, "row 0: no value, or other images than hits"),
        ({"images": [None]}, {}, "row 0: no value"),
        ({"caption": None}, {}, "row 0: no value"),
    ],
)
def test_damaged_examples_are_named(
    row: dict[str, Any], about: dict[str, Any] | None, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "examples.parquet"

    def write(row: dict[str, Any], about: dict[str, Any] | None) -> None:
        metadata = {} if about is None else {"about": json.dumps(ABOUT | about)}
        pq.write_table(pa.Table.from_pylist([ROW | row], EXAMPLES.with_metadata(metadata)), file)

    write({}, {})
    assert read_examples(file) == ([ROW], ABOUT)
    write(row, about)
    with pytest.raises(InputError, match=rf"examples.parquet: damaged \({message}"):
        read_examples(file)

"""Queries of runs on disk -> intervals of the table's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gckd.errors import InputError
from gckd.report import queries
from gckd.report.queries import Number, Queries, over_queries, read_queries
from gckd.report.statistics import OF_QUERIES, clustered
from gckd.report.summary import summarise
from gckd.runs.records import QUERIES_FILE
from tests.report.records import failed, record

if TYPE_CHECKING:
    from pathlib import Path

PERSONS, CAPTIONS = 60, 2
IDENTITY = np.repeat(np.arange(PERSONS), CAPTIONS)


def made(seed: int, chance: float = 0.6) -> Queries:
    """Persons that are easy or hard to find, found or not."""
    random = np.random.default_rng(seed)
    hit = random.random(PERSONS)[IDENTITY] / 2 + random.random(len(IDENTITY)) / 2 < chance
    return Queries(IDENTITY, {"rank_1": 100.0 * hit, "map": 50.0 + 50.0 * hit})


def test_the_names_of_the_file_agree() -> None:
    assert queries.FILE == QUERIES_FILE


def test_files_are_read_as_percentages_and_those_of_failed_runs_are_not(tmp_path: Path) -> None:
    for row in ("full", "-gmp"):
        folder = tmp_path / row / "seed-0"
        folder.mkdir(parents=True)
        columns = {"identity": [7, 7, 9], "rank": [1, 4, 1], "ap": np.array([1, 0.25, 0.5], dtype=np.float32)}
        pq.write_table(pa.table(columns), folder / "queries.parquet")
    found = read_queries(tmp_path, [record("full", 0, 70), record("full", 1, 70), failed("-gmp", 0)])
    assert list(found) == [("full", 0)]
    assert found["full", 0].identity.tolist() == [7, 7, 9]
    assert {k: v.tolist() for k, v in found["full", 0].values.items()} == {
        "rank_1": [100, 0, 100],
        "map": [100, 25, 50],
    }
    (tmp_path / "full" / "seed-0" / "queries.parquet").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"queries.parquet: cannot be read as queries of a run"):
        read_queries(tmp_path, [record("full", 0, 70)])


def test_a_row_is_the_mean_over_its_seeds_and_a_difference_that_over_shared_ones() -> None:
    runs = {("full", 0): made(0), ("full", 1): made(1), ("-gmp", 1): made(2, 0.5), ("-gmp", 2): made(3, 0.5)}
    found = over_queries(runs, {"full": (0, 1), "-gmp": (1, 2)}, "full")
    values = {key: own.values["rank_1"] for key, own in runs.items()}
    wanted = clustered(
        {
            Number("full", "rank_1", False): (values["full", 0] + values["full", 1]) / 2,
            Number("-gmp", "rank_1", False): (values["-gmp", 1] + values["-gmp", 2]) / 2,
            Number("-gmp", "rank_1", True): values["full", 1] - values["-gmp", 1],
        },
        IDENTITY,
        OF_QUERIES,
    )
    assert {key: found[key] for key in wanted} == wanted
    assert {key.metric for key in found} == {"rank_1", "map"}
    assert not any(key.to_full for key in found if key.row == "full")
    mean = np.mean(values["full", 0] + values["full", 1]) / 2
    assert found[Number("full", "rank_1", False)].low < mean < found[Number("full", "rank_1", False)].high


def test_what_every_query_gains_is_certain() -> None:
    full = made(0)
    less = Queries(IDENTITY, {name: values - 3 for name, values in full.values.items()})
    found = over_queries({("full", 0): full, ("-gmp", 0): less}, {"full": (0,), "-gmp": (0,)}, "full")
    assert found[Number("-gmp", "rank_1", True)] == pytest.approx((3, 3))


def test_a_row_without_its_queries_or_with_others_is_left_out() -> None:
    others = Queries(IDENTITY + 1, made(0).values)
    runs = {("full", 0): made(0), ("-gmp", 0): made(1), ("-cmkd", 0): others, ("-mlm", 0): made(2)}
    seeds = {"full": (0,), "-gmp": (0, 1), "-cmkd": (0,), "-mlm": (0,), "-all": ()}
    assert {key.row for key in over_queries(runs, seeds, "full")} == {"full", "-mlm"}
    assert over_queries({}, seeds, "full") == {}
    without_full = over_queries(runs, {"full": (0, 1), "-mlm": (0,)}, "full")
    assert {(key.row, key.to_full) for key in without_full} == {("-mlm", False)}


def test_a_summary_has_them_where_there_are_any() -> None:
    records = [record("full", 0, 70), record("-gmp", 0, 69)]
    full, without = summarise(records, {("full", 0): made(0), ("-gmp", 0): made(1)})
    assert full.metrics["map"].over_queries is not None
    assert full.metrics["rank_5"].over_queries is None
    assert without.to_full["rank_1"].over_queries is not None
    assert all(row.metrics["map"].over_queries is None for row in summarise(records))

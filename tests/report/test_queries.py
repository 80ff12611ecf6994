"""Queries of runs, and the intervals of the table's numbers over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gckd.errors import InputError
from gckd.report import queries
from gckd.report.bootstrap import QUERY_RESAMPLES, cluster_bootstrap
from gckd.report.queries import Quantity, Queries, query_bootstrap, read_queries
from gckd.report.summary import summarise
from gckd.storage.run_tables import QUERIES_FILE
from tests.report.records import failed, record

if TYPE_CHECKING:
    from pathlib import Path

PERSONS, CAPTIONS = 60, 2
IDENTITY = np.repeat(np.arange(PERSONS), CAPTIONS)


def queries_of_run(seed: int, chance: float = 0.6) -> Queries:
    """Queries of one run; some persons are easier to find than others."""
    random = np.random.default_rng(seed)
    hit = random.random(PERSONS)[IDENTITY] / 2 + random.random(len(IDENTITY)) / 2 < chance
    return Queries(IDENTITY, {"rank_1": 100.0 * hit, "map": 50.0 + 50.0 * hit})


def test_report_and_records_use_the_same_file_name() -> None:
    assert queries.FILE == QUERIES_FILE


def test_queries_are_read_in_percent_and_only_of_finished_runs(tmp_path: Path) -> None:
    for row in ("full", "-gmp"):
        folder = tmp_path / row / "seed-0"
        folder.mkdir(parents=True)
        columns = {"identity": [7, 7, 9], "rank": [1, 4, 1], "ap": np.array([1, 0.25, 0.5], dtype=np.float32)}
        pq.write_table(pa.table(columns), folder / "queries.parquet")
    queries_of = read_queries(tmp_path, [record("full", 0, 70), record("full", 1, 70), failed("-gmp", 0)])
    assert list(queries_of) == [("full", 0)]
    assert queries_of["full", 0].identity.tolist() == [7, 7, 9]
    assert {k: v.tolist() for k, v in queries_of["full", 0].values.items()} == {
        "rank_1": [100, 0, 100],
        "map": [100, 25, 50],
    }
    (tmp_path / "full" / "seed-0" / "queries.parquet").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"queries.parquet: cannot be read"):
        read_queries(tmp_path, [record("full", 0, 70)])


def test_a_row_uses_its_seeds_and_a_difference_the_shared_ones() -> None:
    runs = {
        ("full", 0): queries_of_run(0),
        ("full", 1): queries_of_run(1),
        ("-gmp", 1): queries_of_run(2, 0.5),
        ("-gmp", 2): queries_of_run(3, 0.5),
    }
    intervals = query_bootstrap(runs, {"full": (0, 1), "-gmp": (1, 2)}, "full")
    values = {key: own.values["rank_1"] for key, own in runs.items()}
    expected = cluster_bootstrap(
        {
            Quantity("full", "rank_1", False): (values["full", 0] + values["full", 1]) / 2,
            Quantity("-gmp", "rank_1", False): (values["-gmp", 1] + values["-gmp", 2]) / 2,
            Quantity("-gmp", "rank_1", True): values["full", 1] - values["-gmp", 1],
        },
        IDENTITY,
        QUERY_RESAMPLES,
    )
    assert {key: intervals[key] for key in expected} == expected
    assert {key.metric for key in intervals} == {"rank_1", "map"}
    assert not any(key.to_full for key in intervals if key.row == "full")
    mean = np.mean(values["full", 0] + values["full", 1]) / 2
    assert intervals[Quantity("full", "rank_1", False)].low < mean < intervals[Quantity("full", "rank_1", False)].high


def test_an_equal_gain_of_every_query_has_an_interval_of_width_zero() -> None:
    full = queries_of_run(0)
    worse = Queries(IDENTITY, {name: values - 3 for name, values in full.values.items()})
    intervals = query_bootstrap({("full", 0): full, ("-gmp", 0): worse}, {"full": (0,), "-gmp": (0,)}, "full")
    assert intervals[Quantity("-gmp", "rank_1", True)] == pytest.approx((3, 3))


def test_a_row_without_queries_or_with_different_ones_is_left_out() -> None:
    different = Queries(IDENTITY + 1, queries_of_run(0).values)
    runs = {
        ("full", 0): queries_of_run(0),
        ("-gmp", 0): queries_of_run(1),
        ("-cmkd", 0): different,
        ("-mlm", 0): queries_of_run(2),
    }
    seeds = {"full": (0,), "-gmp": (0, 1), "-cmkd": (0,), "-mlm": (0,), "-all": ()}
    assert {key.row for key in query_bootstrap(runs, seeds, "full")} == {"full", "-mlm"}
    assert query_bootstrap({}, seeds, "full") == {}
    without_full = query_bootstrap(runs, {"full": (0, 1), "-mlm": (0,)}, "full")
    assert {(key.row, key.to_full) for key in without_full} == {("-mlm", False)}


def test_a_summary_has_intervals_over_queries_if_the_runs_have_queries() -> None:
    records = [record("full", 0, 70), record("-gmp", 0, 69)]
    full, without = summarise(records, {("full", 0): queries_of_run(0), ("-gmp", 0): queries_of_run(1)})
    assert full.metrics["map"].over_queries is not None
    assert full.metrics["rank_5"].over_queries is None
    assert without.to_full["rank_1"].over_queries is not None
    assert all(row.metrics["map"].over_queries is None for row in summarise(records))

"""Tables of intervals: SD and bootstrap over seeds, bootstrap over queries."""

from __future__ import annotations

import statistics

from gckd.report.interval_tables import interval_tables
from gckd.report.summary import summarise
from tests.report.records import failed, record
from tests.report.test_queries import queries_of_run


def test_over_seeds_by_hand() -> None:
    runs = [record("full", s, v) for s, v in enumerate((70.0, 71.0, 75.0))]
    runs += [record("-gmp", s, v) for s, v in enumerate((68.0, 70.0))] + [failed("-gmp", 2), failed("-mlm", 0)]
    (table,) = interval_tables(summarise(runs))
    assert table.header == ["row", "Rank-1 SD", "mAP SD", "Rank-1, 95 %", "mAP, 95 %"]
    deviation = f"{statistics.stdev([70, 71, 75]):.1f}"
    assert table.lines == [
        ["full", deviation, deviation, "[70.0, 75.0]", "[65.0, 70.0]"],
        ["-gmp", "1.4", "1.4", "", ""],
        ["-mlm", "", "", "", ""],
    ]
    assert "Quote the ± of the table above instead" in table.caption
    assert table.to_markdown().splitlines()[2].startswith("| full")


def test_one_seed_gives_no_table_over_seeds() -> None:
    assert list(interval_tables(summarise([record("full", 0, 70)]))) == []


def test_runs_with_queries_have_a_table_over_queries() -> None:
    runs = [record("full", 0, 70), record("-gmp", 0, 68)]
    rows = summarise(runs, {("full", 0): queries_of_run(0), ("-gmp", 0): queries_of_run(1)})
    (table,) = interval_tables(rows)
    interval = rows[1].to_full["map"].over_queries
    assert interval is not None
    assert table.lines[1][-1] == f"[{interval.low:.1f}, {interval.high:.1f}]"
    assert table.lines[0][3:] == ["", ""]

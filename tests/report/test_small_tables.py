"""The small tables: SD and bootstrap over seeds, bootstrap over queries."""

from __future__ import annotations

import statistics

from gckd.report.small_tables import asides
from gckd.report.summary import summarise
from tests.report.records import failed, record
from tests.report.test_queries import made


def test_over_seeds_by_hand() -> None:
    runs = [record("full", s, v) for s, v in enumerate((70.0, 71.0, 75.0))]
    runs += [record("-gmp", s, v) for s, v in enumerate((68.0, 70.0))] + [failed("-gmp", 2), failed("-mlm", 0)]
    (table,) = asides(summarise(runs))
    assert table.header == ["row", "Rank-1 SD", "Rank-1", "mAP SD", "mAP", "Δ Rank-1", "Δ mAP"]
    deviation = f"{statistics.stdev([70, 71, 75]):.1f}"
    assert table.lines == [
        ["full", deviation, "[70.0, 75.0]", deviation, "[65.0, 70.0]", "", ""],
        ["-gmp", "1.4", "", "1.4", "", "", ""],
        ["-mlm", "", "", "", "", "", ""],
    ]
    assert "Student's t" in table.caption or "± above" in table.caption
    assert table.markdown().splitlines()[2].startswith("| full")


def test_one_seed_has_no_table_over_seeds() -> None:
    assert list(asides(summarise([record("full", 0, 70)]))) == []


def test_over_queries_stands_below_where_they_were_kept() -> None:
    runs = [record("full", 0, 70), record("-gmp", 0, 68)]
    rows = summarise(runs, {("full", 0): made(0), ("-gmp", 0): made(1)})
    (table,) = asides(rows)
    interval = rows[1].to_full["map"].over_queries
    assert interval is not None
    assert table.lines[1][-1] == f"[{interval.low:.1f}, {interval.high:.1f}]"
    assert table.lines[0][3:] == ["", ""]

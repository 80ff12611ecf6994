"""Curves: colours of rows, and the table of end points."""

from __future__ import annotations

from gckd.report.curves import end_points_table, row_colours


def test_each_row_has_one_colour_and_full_has_the_first() -> None:
    points = [{"row": row, "name": "a"} for row in ("-gmp-cmkd", "-gmp", "full")]
    assert row_colours(points) == {"full": "C0", "-gmp": "C1", "-gmp-cmkd": "C2"}
    assert row_colours(list(reversed(points))) == row_colours(points)


def test_end_points_by_hand() -> None:
    common = {"stage": "adapt", "name": "loss", "row": "full"}
    values = {(0, 5): 3.0, (1, 5): 5.0, (0, 10): 1.0, (1, 10): 1.0}
    points = [common | {"seed": seed, "step": step, "value": value} for (seed, step), value in values.items()]
    table = end_points_table(points)
    # Two seeds: half width t(0.975; 1) x s / sqrt(2) = 12.71 x 1.414 / 1.414.
    assert [list(column.cells) for column in table.columns] == [
        ["adapt"],
        ["loss"],
        ["full"],
        ["5"],
        ["4.00 ± 12.71"],
        ["10"],
        ["1.00 ± 0.00"],
    ]

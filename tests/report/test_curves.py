"""The picture of the curves: a row keeps its colour from panel to panel."""

from __future__ import annotations

from gckd.report.curves import row_colours


def test_a_row_has_one_colour_and_the_full_method_the_first() -> None:
    points = [{"row": row, "name": "a"} for row in ("-gmp-cmkd", "-gmp", "full")]
    assert row_colours(points) == {"full": "C0", "-gmp": "C1", "-gmp-cmkd": "C2"}
    assert row_colours(list(reversed(points))) == row_colours(points)

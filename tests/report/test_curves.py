"""Curves: colours of rows, and the table of end points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from matplotlib.figure import Figure

from gckd.report import curves
from gckd.report.curve_names import curve_name
from gckd.report.curves import (
    draw_curves,
    draw_panel,
    end_points_table,
    panel_svg,
    panels,
    row_colours,
    single_panels,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_each_row_has_one_colour_and_full_has_the_first() -> None:
    points = [{"row": row, "name": "a"} for row in ("-gmp-cmkd", "-gmp", "full")]
    assert row_colours(points) == {"full": "C0", "-gmp": "C1", "-gmp-cmkd": "C2"}
    assert row_colours(list(reversed(points))) == row_colours(points)
    assert next(iter(row_colours([{"row": row} for row in ("+gmp", "baseline", "full")]))) == "full"


def test_a_band_stays_within_the_limits_of_its_unit() -> None:
    points = [point("full", step, value=value, seed=seed) for step in (0, 9) for seed, value in ((0, 1.0), (1, 99.0))]
    axis = Figure().add_subplot()
    draw_panel(axis, points, ("adapt", "target_val_rank_1"), row_colours(points))
    (band,) = axis.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (0.0, 100.0)


def test_the_legend_covers_no_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(curves, "save_figure", lambda figure, path: figures.append(figure))
    for count in (3, 4):  # a full line of panels, and one more
        points = [dict(point("full", step), name=f"loss_{place}") for place in range(count) for step in (0, 9)]
        assert draw_curves(points, tmp_path)
    for figure, count in zip(figures, (3, 4), strict=True):
        with_lines = [axis.get_legend() is not None for axis in figure.axes if axis.lines]
        assert (len(with_lines), any(with_lines)) == (count, False)
        assert sum(axis.get_legend() is not None for axis in figure.axes) == 1


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


def point(
    row: str, step: int, name: str = "target_val_rank_1", value: float = 50.0, seed: int = 0
) -> dict[str, object]:
    return {"stage": "adapt", "row": row, "seed": seed, "step": step, "name": name, "value": value}


def test_a_quantity_that_every_row_has_once_is_no_curve() -> None:
    points = [point("full", 0), point("full", 9), point("source-model", 0), point("full", 9, "accepted_share")]
    assert panels(points) == [("adapt", "target_val_rank_1")]
    assert single_panels(points) == [("adapt", "accepted_share")]


@pytest.mark.parametrize(
    ("name", "title", "unit"),
    [
        ("target_val_rank_1", "Adaptation: Rank-1 on target val", "%"),
        ("teacher_target_val_map", "Adaptation: mAP on target val, teacher", "%"),
        ("source_mlm", "Adaptation: loss, source MLM", "loss"),
        ("hubness_text", "Adaptation: hubness of the graph (text)", "skewness"),
        ("confidence_50", "Adaptation: confidence, median", "cosine"),
        ("my_own_value", "Adaptation: my own value", "value"),
    ],
)
def test_curves_have_readable_names_and_units(name: str, title: str, unit: str) -> None:
    assert curve_name("adapt", name) == (title, unit)


def test_a_plot_has_its_whole_title_its_unit_and_the_use_of_labels() -> None:
    points = [point("full", step) for step in (0, 9)]
    svg = panel_svg(points, ("adapt", "target_val_rank_1"), row_colours(points)).decode()
    for text in ("Adaptation: Rank-1 on target val", "optimiser step", ">%<", "uses target labels"):
        assert text in svg


def test_rows_with_the_same_values_share_a_line() -> None:
    def lines(values: dict[str, float]) -> int:
        points = [point(row, step, value=value) for row, value in values.items() for step in (0, 9)]
        return panel_svg(points, ("adapt", "target_val_rank_1"), row_colours(points)).decode().count("FillBetween")

    assert lines({"full": 50.0, "-gmp": 51.0}) == lines({"full": 50.0, "-gmp": 51.0, "-cmkd": 50.0}) == 2

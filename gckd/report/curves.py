"""Curves of a table as a picture: a panel for each quantity, a line for each row, a band over seeds."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from gckd.report.statistics import estimate
from gckd.report.warnings import reads_labels

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

Point = Mapping[str, Any]  # row, seed, stage, step, name, value
Panel = tuple[str, str]  # stage, name
_ACROSS = 3  # panels side by side
_FEW = 12  # points that are marked one by one
_PANEL_INCHES = (4.0, 2.8)
_PANEL_PLACE = (0.13, 0.15, 0.84, 0.76)  # left, bottom, width, height; to measure them doubles the time


def draw_curves(points: Sequence[Point], path: Path) -> bool:
    """Writes a PNG; False (and no file) when there is nothing to draw."""
    if not points:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    colours = row_colours(points)
    every = panels(points)
    down = -(-len(every) // _ACROSS)
    size = (_PANEL_INCHES[0] * _ACROSS, _PANEL_INCHES[1] * down)
    figure, axes = pyplot.subplots(down, _ACROSS, figsize=size, squeeze=False, layout="constrained")
    for axis, panel in zip(axes.flat, every, strict=False):
        _panel(axis, points, panel, colours)
    for axis in axes.flat[len(every) :]:
        axis.set_visible(False)
    axes.flat[0].legend(fontsize=7)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return True


def panel_svg(points: Sequence[Point], panel: Panel, colours: Mapping[str, str]) -> bytes:
    """One panel of `points` by itself, without a legend, as SVG whose texts are texts."""
    import matplotlib
    from matplotlib.figure import Figure

    file = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gckd"}):
        figure = Figure(figsize=_PANEL_INCHES)
        _panel(figure.add_axes(_PANEL_PLACE), points, panel, colours)
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def panels(points: Sequence[Point]) -> list[Panel]:
    """What there are curves of."""
    return list(dict.fromkeys((p["stage"], p["name"]) for p in points))


def row_colours(points: Sequence[Point]) -> dict[str, str]:
    """A colour for each row, the full method's first: the same in every panel, also where a row has no curve."""
    rows = sorted({str(p["row"]) for p in points}, key=lambda row: (row.count("-"), row))
    return {row: f"C{place}" for place, row in enumerate(rows)}


def _panel(axis: Axes, points: Sequence[Point], panel: Panel, colours: Mapping[str, str]) -> None:
    own = [p for p in points if (p["stage"], p["name"]) == panel]
    present = {p["row"] for p in own}
    for row in (row for row in colours if row in present):
        steps, means, widths = mean_curve([p for p in own if p["row"] == row])
        dots = "." if len(steps) <= _FEW else ""
        axis.plot(steps, means, label=row, color=colours[row], linewidth=1.2, marker=dots)
        low = [m - w for m, w in zip(means, widths, strict=True)]
        high = [m + w for m, w in zip(means, widths, strict=True)]
        axis.fill_between(steps, low, high, alpha=0.15, color=colours[row], linewidth=0)
    labels = "\n(uses target labels)" if reads_labels(panel[1]) else ""
    axis.set_title(f"{panel[0]}: {panel[1]}{labels}", fontsize=9)
    axis.set_xlabel("step", fontsize=8)
    axis.tick_params(labelsize=7)


def ends_of_curves(points: Sequence[Point]) -> Table:
    """First and last point of every curve, mean ± half width of the 95 % interval over seeds."""
    table = Table("stage", "curve", "row", "first step", "value", "last step", "value")
    for stage, name in panels(points):
        for row in row_colours(points):
            found = [p for p in points if (p["stage"], p["name"], p["row"]) == (stage, name, row)]
            if found:
                ends = [
                    (str(step), f"{mean:.2f} ± {width:.2f}")
                    for step, mean, width in zip(*mean_curve(found), strict=True)
                ]
                table.add_row(stage, name, row, *ends[0], *ends[-1])
    return table


def mean_curve(points: Sequence[Point]) -> tuple[list[int], list[float], list[float]]:
    """Steps, means over seeds, and half widths of their 95 % intervals (0 with one seed) of one row's curve."""
    by_step: dict[int, list[float]] = {}
    for p in points:
        by_step.setdefault(p["step"], []).append(p["value"])
    steps = sorted(by_step)
    found = [estimate(by_step[step]) for step in steps]
    return steps, [e.mean for e in found], [e.half_width or 0.0 for e in found]

"""Curves of a table: one panel for each quantity, one line for each row, bands over seeds."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from gckd.report.curve_names import curve_name
from gckd.report.figure_files import save_figure
from gckd.report.statistics import estimate
from gckd.report.summary import FULL

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

CurvePoint = Mapping[str, Any]  # row, seed, stage, step, name, value
Panel = tuple[str, str]  # stage, name

AUDIT_PREFIX = "audit_"  # of curves that read labels of the target's train split
_VAL_PREFIXES = ("target_val", "teacher_target_val")  # of curves that read labels of the target's val split
_ACROSS = 3  # panels side by side
_FEW_STEPS = 12  # up to so many are drawn as dots
_LIMITS = {"%": (0.0, 100.0)}  # of a band, by the unit
_PANEL_INCHES = (4.0, 2.8)
_PANEL_PLACE = (0.15, 0.16, 0.82, 0.73)  # left, bottom, width, height; automatic layout takes twice the time


def reads_labels(name: str) -> bool:
    """Whether a curve of this name reads labels of the target."""
    return name.startswith((AUDIT_PREFIX, *_VAL_PREFIXES))


def draw_curves(points: Sequence[CurvePoint], folder: Path) -> bool:
    """Writes curves.png, .svg and .pdf into the folder; without a curve, writes no file and returns False."""
    all_panels = panels(points)
    if not all_panels:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.lines import Line2D

    colours = row_colours(points)
    down = -(-(len(all_panels) + 1) // _ACROSS)  # one place is for the legend
    size = (_PANEL_INCHES[0] * _ACROSS, _PANEL_INCHES[1] * down)
    figure, axes = pyplot.subplots(down, _ACROSS, figsize=size, squeeze=False)
    figure.subplots_adjust(**_margins(*size))
    for axis, panel in zip(axes.flat, all_panels, strict=False):
        draw_panel(axis, points, panel, colours)
    for axis in axes.flat[len(all_panels) :]:
        axis.set_axis_off()
    # Of all rows: a panel may lack some.
    lines = [Line2D([], [], color=colour, label=row) for row, colour in colours.items()]
    axes.flat[len(all_panels)].legend(handles=lines, fontsize=7, loc="upper left")
    save_figure(figure, folder / "curves")
    pyplot.close(figure)
    return True


def _margins(width: float, height: float) -> dict[str, float]:
    """Margins and gaps of a figure of this size in inches; automatic layout takes longer than the drawing."""
    outer = {"left": 0.6 / width, "right": 1 - 0.1 / width, "bottom": 0.45 / height, "top": 1 - 0.3 / height}
    return outer | {"wspace": 0.2, "hspace": 0.4}


def panel_svg(points: Sequence[CurvePoint], panel: Panel, colours: Mapping[str, str]) -> bytes:
    """One panel without a legend, as SVG with searchable text."""
    import matplotlib
    from matplotlib.figure import Figure

    file = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gckd"}):
        figure = Figure(figsize=_PANEL_INCHES)
        draw_panel(figure.add_axes(_PANEL_PLACE), points, panel, colours)
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def panels(points: Sequence[CurvePoint]) -> list[Panel]:
    """Stage and name of every curve that some row has at two steps or more."""
    return [panel for panel in _all_panels(points) if panel not in single_panels(points)]


def single_panels(points: Sequence[CurvePoint]) -> list[Panel]:
    """Stage and name of every quantity that each row has at one step only, so that there is nothing to plot."""
    steps: dict[tuple[Panel, str], set[int]] = {}
    for p in points:
        steps.setdefault(((p["stage"], p["name"]), str(p["row"])), set()).add(int(p["step"]))
    plotted = {panel for (panel, _), of_row in steps.items() if len(of_row) > 1}
    return [panel for panel in _all_panels(points) if panel not in plotted]


def _all_panels(points: Sequence[CurvePoint]) -> list[Panel]:
    return list(dict.fromkeys((p["stage"], p["name"]) for p in points))


def row_colours(points: Sequence[CurvePoint]) -> dict[str, str]:
    """A colour for each row, the same in every panel; the full row has the first."""
    rows = sorted({str(p["row"]) for p in points}, key=lambda row: (row != FULL, row.count("-"), row))
    return {row: f"C{place}" for place, row in enumerate(rows)}


def draw_panel(axis: Axes, points: Sequence[CurvePoint], panel: Panel, colours: Mapping[str, str]) -> None:
    """Draws one panel, without a legend."""
    from matplotlib.ticker import MaxNLocator

    panel_points = [p for p in points if (p["stage"], p["name"]) == panel]
    present = {p["row"] for p in panel_points}
    drawn = []
    title, unit = curve_name(*panel)
    for row in (row for row in colours if row in present):
        curve = mean_curve([p for p in panel_points if p["row"] == row])
        if curve in drawn:  # rows that share a source model have its curve
            continue
        drawn.append(curve)
        steps, means, widths = curve
        dots = "." if len(steps) <= _FEW_STEPS else ""
        axis.plot(steps, means, label=row, color=colours[row], linewidth=1.2, marker=dots)
        least, most = _LIMITS.get(unit, (-math.inf, math.inf))
        low = [max(m - w, least) for m, w in zip(means, widths, strict=True)]
        high = [min(m + w, most) for m, w in zip(means, widths, strict=True)]
        axis.fill_between(steps, low, high, alpha=0.15, color=colours[row], linewidth=0)
    axis.set_title(title, fontsize=9, loc="left")
    axis.set_xlabel("optimiser step", fontsize=8)
    axis.set_ylabel(unit, fontsize=8)
    axis.tick_params(labelsize=7)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.margins(y=0.12)
    if reads_labels(panel[1]):
        axis.text(0.99, 0.02, "uses target labels", transform=axis.transAxes, fontsize=7, color="#a00000", ha="right")


def end_points_table(points: Sequence[CurvePoint]) -> Table:
    """First and last point of every curve, as mean ± half width of the 95 % interval over seeds."""
    table = Table("stage", "curve", "row", "first step", "value", "last step", "value")
    for stage, name in _all_panels(points):
        for row in row_colours(points):
            row_points = [p for p in points if (p["stage"], p["name"], p["row"]) == (stage, name, row)]
            if row_points:
                ends = [
                    (str(step), f"{mean:.2f} ± {width:.2f}")
                    for step, mean, width in zip(*mean_curve(row_points), strict=True)
                ]
                table.add_row(stage, name, row, *ends[0], *ends[-1])
    return table


def mean_curve(points: Sequence[CurvePoint]) -> tuple[list[int], list[float], list[float]]:
    """Steps, means over seeds and half widths of the 95 % intervals (0 with one seed) of one row's curve."""
    by_step: dict[int, list[float]] = {}
    for p in points:
        by_step.setdefault(p["step"], []).append(p["value"])
    steps = sorted(by_step)
    estimates = [estimate(by_step[step]) for step in steps]
    return steps, [e.mean for e in estimates], [e.half_width or 0.0 for e in estimates]

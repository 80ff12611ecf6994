"""Panels of a check's figure: one line for each row, in the same colour and style everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from gckd.report.checks.check_input import CheckInput, mean
from gckd.report.curves import reads_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that all kinds of colour vision tell apart (Okabe and Ito, 2008). Further rows repeat them with other lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
CURVE_KEY = "Line: mean over seeds; band: range of seeds; *: reads target labels."
SOURCE_COLOUR, TARGET_COLOUR = PALETTE[5], PALETTE[0]
_STYLES = (("-", "o"), ("--", "s"), (":", "^"), ("-.", "D"))


def panels(down: int, across: int, width: float = 3.4, height: float = 2.6) -> tuple[Figure, list[Axes]]:
    """An empty figure and its panels, row by row.

    Args:
        down: number of panels from top to bottom.
        across: number of panels from left to right.
        width: of a panel, in inches.
        height: of a panel, in inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(across * width, down * height + 0.6), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False)
    for axis in axes.flat:
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes.flat)


def styles(rows: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour, line and marker of each row."""
    style_of = {}
    for i, row in enumerate(rows):
        line, marker = _STYLES[i // len(PALETTE) % len(_STYLES)]
        style_of[row] = {"color": PALETTE[i % len(PALETTE)], "linestyle": line, "marker": marker}
    return style_of


def draw_curve(axis: Axes, given: CheckInput, name: str, title: str, scale: float = 1.0) -> None:
    """A line for each row that has the curve: mean over seeds, with a band for the range of the seeds."""
    style_of = styles(given.rows)
    for row in given.rows:
        curve = given.curve(name, row)
        if curve:
            values = [[scale * v for v in by_seed.values()] for by_seed in curve.values()]
            means = [mean(at_step) for at_step in values]
            axis.plot(list(curve), means, markersize=3.5, linewidth=1.4, label=row, **style_of[row])
            edges = [min(at_step) for at_step in values], [max(at_step) for at_step in values]
            axis.fill_between(list(curve), *edges, alpha=0.15, linewidth=0, color=style_of[row]["color"])
    if not axis.lines:
        mark_empty(axis)
    axis.set_title(title + (" *" if reads_labels(name) else ""), fontsize=9)
    axis.set_xlabel("adaptation step", fontsize=8)


def mark_empty(axis: Axes) -> None:
    """Writes "not measured" into a panel without data."""
    axis.set(xticks=[], yticks=[])
    axis.text(0.5, 0.5, "not measured", transform=axis.transAxes, ha="center", fontsize=8, color="#666666")


def row_legend(figure: Figure, given: CheckInput, axes: Sequence[Axes]) -> None:
    """One legend for all panels, below them."""
    drawn: dict[str, Any] = {}
    for axis in axes:
        for handle, row in zip(*axis.get_legend_handles_labels(), strict=True):
            drawn.setdefault(row, handle)
    rows = [row for row in given.rows if row in drawn]
    if rows:
        across = min(len(rows), 4)
        figure.legend([drawn[row] for row in rows], rows, loc="outside lower center", ncols=across, fontsize=8)

"""Plots of Optuna in the style of the report."""

from __future__ import annotations

import contextlib
import sys
import warnings
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from optuna.exceptions import ExperimentalWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.axes import Axes
    from matplotlib.axis import XAxis, YAxis
    from optuna import Study

FINISHED, STOPPED, FAILED, CHOSEN = "#1f77b4", "#8a97a6", "#c0392b", "#e8890c"
STAR: dict[str, Any] = {"s": 170, "marker": "*", "color": CHOSEN, "edgecolors": "black", "linewidths": 0.6, "zorder": 5}
WIDTH = 9.6  # inches, of every figure


def plot(name: str, study: Study, **options: Any) -> Any:
    """Axes of a plot in `optuna.visualization.matplotlib`, detached from pyplot, whose global style Optuna changes."""
    if "matplotlib.pyplot" not in sys.modules:
        mpl.use("Agg")  # no window; a notebook that has imported pyplot keeps its backend
    from matplotlib import pyplot as plt
    from optuna.visualization import matplotlib as plots

    function: Callable[..., Any] = getattr(plots, name)
    constrained = name != "plot_timeline"  # which calls tight_layout
    with silent_experimental_plots(), mpl.rc_context({"figure.constrained_layout.use": constrained}):
        axes = function(study, **options)
    plt.close(np.atleast_1d(axes).flat[0].figure)
    return axes


@contextlib.contextmanager
def silent_experimental_plots() -> Iterator[None]:
    """Silences the warning that Optuna's plots are experimental, and no other."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*\.plot_\w+ is experimental", ExperimentalWarning)
        yield


def finished(axis: Axes, *, height: float, legend: bool = False) -> Figure:
    """The figure of an axis in the width of the page, without titles, with small labels and a legend on top."""
    figure = axis.figure
    assert isinstance(figure, Figure)
    figure.set_layout_engine("constrained")
    figure.set_size_inches(WIDTH, height)
    figure.suptitle("")
    for panel in figure.axes:
        panel.set_title("")
        panel.tick_params(which="both", labelsize=8)
        for side in (panel.xaxis, panel.yaxis):
            side.label.set_fontsize(9)
            if side.get_scale() == "log":
                _label_log_ticks(side)
    if legend:
        by_label = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "frameon": False, "fontsize": 8}
        axis.legend(list(by_label.values()), list(by_label), ncols=len(by_label), **place)
    return figure


def _label_log_ticks(side: XAxis | YAxis) -> None:
    """Plain numbers that do not overlap, unlike matplotlib's: powers of ten over more than two decades; 1, 2 and 5 over
    one or two; round numbers over less."""
    low, high = side.get_view_interval()
    powers = LogLocator(subs=(1.0,) if high / low > 100 else (1.0, 2.0, 5.0))
    side.set_major_locator(powers if high / low > 10 else MaxNLocator(4))
    side.set_major_formatter(lambda value, _: f"{value:g}")
    side.set_minor_formatter(NullFormatter())

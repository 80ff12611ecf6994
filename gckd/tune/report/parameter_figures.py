"""Figures of the hyperparameters: slices, parallel coordinates, contours and ranks with Optuna's plots; importance.

Importance is drawn here because Optuna's plot shows one method at a time. A function returns None, or no figures, if
the study has too little to draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.category import StrCategoryFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.distributions import IntDistribution
from optuna.trial import TrialState

from gckd.tune.report.optuna_plots import FINISHED, STAR, STOPPED, WIDTH, finished, plot
from gckd.tune.report.plotted_study import parameter_axes, plotted_study
from gckd.tune.report.trial_values import objective_label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from optuna import Study
    from optuna.trial import FrozenTrial

    from gckd.report.bootstrap import Interval
    from gckd.tune.best import Candidate
    from gckd.tune.report.importance import Importance

_SLICES_PER_FIGURE = 3
_MATRIX_PARAMETERS = 3  # of contours and ranks, which have a panel for each pair
_MATRIX_TRIALS = 8  # below which they are not drawn


def slices(study: Study, chosen: Candidate | None) -> list[Figure]:
    """First objective against each hyperparameter that varies."""
    copy, figures = plotted_study(study), []
    labels = _varied(copy)
    trials = copy.get_trials(deepcopy=False)
    trial = trials[chosen.trial.number] if chosen else None
    whole = {label for t in trials for label, d in t.distributions.items() if isinstance(d, IntDistribution)}
    for start in range(0, len(labels), _SLICES_PER_FIGURE):
        names = labels[start : start + _SLICES_PER_FIGURE]
        axes = np.atleast_1d(plot("plot_slice", copy, params=names, target_name=objective_label(study, 0)))
        figures.append(finished(axes[0], height=3.2))
        figures[-1].axes[-1].set_ylabel("trial")
        for axis in axes:
            _complete_slice(axis, trial)
            if axis.get_xlabel() in whole and axis.get_xscale() == "linear":
                axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return figures


def _complete_slice(axis: Axes, chosen: FrozenTrial | None) -> None:
    """Marks the chosen trial, and removes the quotes that Optuna writes around categories."""
    if chosen is not None and axis.get_xlabel() in chosen.params:
        value = chosen.params[axis.get_xlabel()]
        axis.scatter([repr(value) if isinstance(value, str) else value], chosen.values, **STAR)
    if isinstance(axis.xaxis.get_major_formatter(), StrCategoryFormatter):
        axis.set_xticks(axis.get_xticks(), [text.get_text().strip("'") for text in axis.get_xticklabels()])


def parallel(study: Study) -> Figure | None:
    """A line per trial through its value and its hyperparameters."""
    copy = plotted_study(study)
    labels = _varied(copy)
    if not labels:
        return None
    figure = finished(
        plot("plot_parallel_coordinate", copy, params=labels, target_name=objective_label(study, 0)), height=4.2
    )
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.5}
    for panel in figure.axes:  # their tick labels are among the lines
        for text in panel.get_yticklabels():
            text.set_bbox(box)
    return figure


def contours(study: Study, importance: Mapping[str, float]) -> Figure | None:
    """First objective over pairs of the most important hyperparameters, interpolated."""
    panels = _matrix("plot_contour", study, importance)
    if panels is None:
        return None
    for panel in panels.diagonal() if len(panels) > 1 else ():
        panel.set_facecolor("none")  # a hyperparameter against itself: empty
        panel.grid(visible=False)
    return _finished_matrix(panels)


def ranks(study: Study, importance: Mapping[str, float]) -> Figure | None:
    """Trials over pairs of the most important hyperparameters, coloured by the rank of their value."""
    panels = _matrix("plot_rank", study, importance)
    if panels is None:
        return None
    panels.flat[0].figure.axes[-1].set_ylabel(f"rank by {objective_label(study, 0)}")
    return _finished_matrix(panels)


def _matrix(name: str, study: Study, importance: Mapping[str, float]) -> Any:
    """Panels [rows, columns] of a plot over pairs of hyperparameters; None if there are too few."""
    copy, axes = plotted_study(study), parameter_axes(study)
    varied = _varied(copy)
    labels = [axes[path].label for path in importance if axes[path].label in varied] or varied
    complete = copy.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < _MATRIX_TRIALS or len(labels) < 2:
        return None
    return np.atleast_2d(plot(name, copy, params=labels[:_MATRIX_PARAMETERS], target_name=objective_label(study, 0)))


def _finished_matrix(panels: Any) -> Figure:
    return finished(panels.flat[0], height=4.0 if len(panels) == 1 else 7.6)


def _varied(copy: Study) -> list[str]:
    """Labels of the hyperparameters with two values or more among the COMPLETE trials."""
    values: dict[str, set[Any]] = {}
    for trial in copy.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        for label, value in trial.params.items():
            values.setdefault(label, set()).add(value)
    return sorted(label for label, distinct in values.items() if len(distinct) > 1)


def importances(study: Study, shares_by_objective: Sequence[Importance]) -> Figure | None:
    """Importance by fANOVA with its intervals, and by PED-ANOVA; a panel for each objective."""
    drawn = {place: shares for place, shares in enumerate(shares_by_objective) if shares.fanova or shares.ped_anova}
    if not drawn:
        return None
    first = next(iter(drawn.values()))
    ordered = dict.fromkeys([*first.fanova, *(path for s in drawn.values() for path in (*s.fanova, *s.ped_anova))])
    paths = list(reversed(ordered))  # the most important on top
    figure = Figure(figsize=(WIDTH, 4))
    axes = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
    for axis, (place, shares) in zip(axes, drawn.items(), strict=True):
        for shift, label, values, colour in (
            (0.2, "fANOVA", shares.fanova, FINISHED),
            (-0.2, "PED-ANOVA", shares.ped_anova, STOPPED),
        ):
            rows = [row + shift for row, path in enumerate(paths) if path in values]
            widths = [values[path] for path in paths if path in values]
            bars = axis.barh(rows, widths, height=0.36, color=colour, label=label)
            intervals = shares.intervals if values is shares.fanova else {}
            texts = [_share_text(values[path], intervals.get(path)) for path in paths if path in values]
            axis.bar_label(bars, texts, fontsize=7, padding=2)
        axis.set_yticks(range(len(paths)), paths)
        axis.set(xlim=(0, 1.4), xlabel=f"importance for {objective_label(study, place)}")
        axis.spines[["top", "right"]].set_visible(False)
    return finished(axes[0], height=0.9 + 0.42 * len(paths), legend=True)


def _share_text(share: float, interval: Interval | None) -> str:
    """`0.62 (0.40 to 0.81)`."""
    return f"{share:.2f}" + (f" ({interval.low:.2f} to {interval.high:.2f})" if interval else "")

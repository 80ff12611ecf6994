"""Figures of a search. A function returns None, or no figures, if the study has too little to draw.

Most are plots of Optuna over `plotted_study`. Drawn here is what Optuna cannot draw: marks for the chosen, stopped and
failed trials; importance by two methods side by side; and scores against the true Rank-1.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import warnings
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.category import StrCategoryFormatter
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from gckd.tune.report.plotted_study import parameter_axes, plotted_study
from gckd.tune.report.trial_values import objective_label, trial_values
from gckd.validators import SCORES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import XAxis, YAxis
    from optuna import Study
    from optuna.trial import FrozenTrial

    from gckd.tune.best import Candidate
    from gckd.tune.report.importance import Importance

FINISHED, STOPPED, FAILED, CHOSEN = "#1f77b4", "#8a97a6", "#c0392b", "#e8890c"
_STAR: dict[str, Any] = {
    "s": 170,
    "marker": "*",
    "color": CHOSEN,
    "edgecolors": "black",
    "linewidths": 0.6,
    "zorder": 5,
}
_TIMELINE_STATES = {  # with the colours of Optuna
    TrialState.COMPLETE: ("tab:blue", "finished"),
    TrialState.PRUNED: ("tab:orange", "stopped early"),
    TrialState.FAIL: ("tab:red", "failed"),
    TrialState.RUNNING: ("tab:green", "running"),
}
_WIDTH = 9.6  # inches
_SLICES_PER_FIGURE = 3
_MATRIX_PARAMETERS = 3  # of contours and ranks, which have a panel for each pair
MIN_PAIRS = 8  # trials below which contours and ranks are not drawn


def history(study: Study, chosen: Candidate | None, objective: int = 0) -> Figure | None:
    """Value against trial number, with the best so far of the finished trials."""
    values = trial_values(study, objective)
    if len(values) < 2 or not any(value.complete for value in values):
        return None
    name = objective_label(study, objective)
    copy = plotted_study(study, (objective,), pruned=False)
    axis = _plot("plot_optimization_history", copy, target_name=name)
    line = axis.get_lines()[0]
    line.set(label="best so far", drawstyle="steps-post")
    axis.collections[0].set_label("finished")
    stopped = [value for value in values if not value.complete]
    if stopped:
        numbers = [value.trial.number for value in stopped]
        axis.scatter(numbers, [v.clipped for v in stopped], color="white", edgecolors=STOPPED, label="stopped early")
    failed = [trial.number for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,))]
    if failed:
        bottom = axis.get_xaxis_transform()
        axis.plot(failed, [0.0] * len(failed), "x", color=FAILED, label="failed", transform=bottom, clip_on=False)
    clipped = [value for value in values if value.is_clipped]
    if clipped:
        numbers = [value.trial.number for value in clipped]
        axis.scatter(numbers, [v.clipped for v in clipped], marker="v", color=FAILED, label="off the scale", zorder=4)
    for value in values:
        if chosen is not None and value.trial.number == chosen.trial.number:
            axis.scatter([value.trial.number], [value.clipped], label="chosen", **_STAR)
    axis.set_xlabel("trial")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _finished(axis, height=3.4, legend=True)


def curves(study: Study, chosen: Candidate | None) -> Figure | None:
    """First objective against the epoch, a line per trial; None if no trial reported two epochs."""
    copy = plotted_study(study)
    if len(study.directions) > 1 and all(not t.intermediate_values for t in copy.get_trials(deepcopy=False)):
        return None
    if max((len(trial.intermediate_values) for trial in copy.get_trials(deepcopy=False)), default=0) < 2:
        return None
    axis = _plot("plot_intermediate_values", copy)
    states = {value.trial.number: value.complete for value in trial_values(study)}
    numbers = [trial.number for trial in copy.get_trials(deepcopy=False) if trial.intermediate_values]
    for line, number in zip(axis.get_lines(), numbers, strict=True):
        is_chosen = chosen is not None and number == chosen.trial.number
        name = "chosen" if is_chosen else "finished" if states[number] else "stopped early"
        line.set(color={"chosen": CHOSEN, "finished": FINISHED, "stopped early": STOPPED}[name], label=name)
        if is_chosen:
            line.set(linewidth=2.5, zorder=4)
    axis.set(xlabel="epoch", ylabel=objective_label(study, 0))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _finished(axis, height=3.4, legend=True)


def pareto(study: Study, chosen: Candidate | None) -> list[Figure]:
    """Each further objective against the first one, with the Pareto front of the finished trials."""
    if len(study.directions) < 2:
        return []
    copy, figures = plotted_study(study, range(len(study.directions)), pruned=False), []
    complete = copy.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    for objective in range(1, len(study.directions) if len(complete) > 1 else 1):

        def pair(trial: FrozenTrial, objective: int = objective) -> list[float]:
            return [trial.values[0], trial.values[objective]]

        names = [objective_label(study, 0), objective_label(study, objective)]
        axis = _plot("plot_pareto_front", copy, target_names=names, targets=pair)
        for points in axis.collections:
            points.set_label({"Best Trial": "Pareto front", "Trial": "dominated"}[str(points.get_label())])
        for trial in complete:
            if chosen is not None and trial.number == chosen.trial.number:
                axis.scatter(*([value] for value in pair(trial)), label="chosen", **_STAR)
        figures.append(_finished(axis, height=3.6, legend=True))
    return figures


def slices(study: Study, chosen: Candidate | None) -> list[Figure]:
    """First objective against each hyperparameter that varies."""
    copy = plotted_study(study)
    figures: list[Figure] = []
    name = objective_label(study, 0)
    for start in itertools.count(step=_SLICES_PER_FIGURE):
        labels = _varied(copy)[start : start + _SLICES_PER_FIGURE]
        if not labels:
            return figures
        axes = np.atleast_1d(_plot("plot_slice", copy, params=labels, target_name=name))
        figure = _finished(axes[0], height=3.2)
        figure.axes[-1].set_ylabel("trial")
        if chosen is not None:
            trial = copy.get_trials(deepcopy=False)[chosen.trial.number]
            for axis in axes:
                if axis.get_xlabel() in trial.params:
                    value = trial.params[axis.get_xlabel()]
                    axis.scatter([repr(value) if isinstance(value, str) else value], trial.values, **_STAR)
        for axis in axes:
            if isinstance(axis.xaxis.get_major_formatter(), StrCategoryFormatter):
                texts = [text.get_text().strip("'") for text in axis.get_xticklabels()]  # Optuna writes them quoted
                axis.set_xticks(axis.get_xticks(), texts)
        figures.append(figure)
    raise AssertionError("unreachable")


def parallel(study: Study) -> Figure | None:
    """A line per trial through its value and its hyperparameters."""
    copy = plotted_study(study)
    labels = _varied(copy)
    if not labels:
        return None
    axis = _plot("plot_parallel_coordinate", copy, params=labels, target_name=objective_label(study, 0))
    figure = _finished(axis, height=4.2)
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.5}
    for panel in figure.axes:  # the ticks are among the lines
        for text in panel.get_yticklabels():
            text.set_bbox(box)
    return figure


def contours(study: Study, importance: Mapping[str, float]) -> Figure | None:
    """First objective over pairs of the most important hyperparameters, interpolated."""
    return _matrix("plot_contour", study, importance)


def ranks(study: Study, importance: Mapping[str, float]) -> Figure | None:
    """Trials over pairs of the most important hyperparameters, coloured by the rank of their value."""
    return _matrix("plot_rank", study, importance)


def timeline(study: Study) -> Figure | None:
    """Start, end and state of each trial."""
    started = [trial for trial in study.get_trials(deepcopy=False) if trial.datetime_start]
    if len(started) < 2:
        return None
    axis = _plot("plot_timeline", study)
    locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call] # Optuna's lacks the date
    axis.set(xlabel="local time", ylabel="trial")
    axis.get_legend().remove()
    for state, (colour, label) in _TIMELINE_STATES.items():
        if any(trial.state == state for trial in started):
            axis.barh([0], [0], left=started[0].datetime_start, color=colour, label=label)
    return _finished(axis, height=min(1.6 + 0.12 * len(started), 9.0), legend=True)


def importances(study: Study, shares_by_objective: Sequence[Importance]) -> Figure | None:
    """Importance by both methods, a panel for each objective; Optuna's plot shows one method.

    Args:
        shares_by_objective: in the order of the objectives.
    """
    drawn = {place: shares for place, shares in enumerate(shares_by_objective) if shares.fanova or shares.ped_anova}
    if not drawn:
        return None
    paths = sorted({path for shares in drawn.values() for path in (*shares.fanova, *shares.ped_anova)}, reverse=True)
    height = 0.9 + 0.42 * len(paths)
    figure = Figure(figsize=(_WIDTH, height))
    axes = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
    for axis, (place, shares) in zip(axes, drawn.items(), strict=True):
        for shift, label, values, colour in (
            (0.2, "fANOVA", shares.fanova, FINISHED),
            (-0.2, "PED-ANOVA", shares.ped_anova, STOPPED),
        ):
            rows = [row + shift for row, path in enumerate(paths) if path in values]
            widths = [values[path] for path in paths if path in values]
            bars = axis.barh(rows, widths, height=0.36, color=colour, label=label)
            axis.bar_label(bars, [f"{width:.2f}" for width in widths], fontsize=7, padding=2)
        axis.set_yticks(range(len(paths)), paths)
        axis.set(xlim=(0, 1.1), xlabel=f"importance for {objective_label(study, place)}")
        axis.spines[["top", "right"]].set_visible(False)
    return _finished(axes[0], height=height, legend=True)


def score_audit(candidates: Sequence[Candidate], picked: Mapping[str, int]) -> Figure | None:
    """True Rank-1 against each score; the trial that the score picks is ringed.

    Args:
        candidates: with a true Rank-1.
        picked: score -> index of the candidate that it picks.
    """
    names = [name for name in picked if name in SCORES]
    if len(candidates) < 2 or not names:
        return None
    truth = [candidate.true_rank_1 or 0.0 for candidate in candidates]
    rows = -(-len(names) // 3)
    figure = Figure(figsize=(_WIDTH, 2.4 * rows))
    axes = figure.subplots(rows, 3, squeeze=False).flat
    for axis, name in itertools.zip_longest(axes, names):
        if name is None:
            axis.set_visible(False)
            continue
        values = [candidate.scores[name] for candidate in candidates]
        axis.scatter(values, truth, s=18, color=FINISHED)
        at = picked[name]
        axis.scatter([values[at]], [truth[at]], s=110, facecolors="none", edgecolors=CHOSEN, linewidths=1.6)
        axis.set(xlabel=name, ylabel="true Rank-1, %")
        axis.spines[["top", "right"]].set_visible(False)
    return _finished(axes[0], height=2.4 * rows)


def _matrix(plot: str, study: Study, importance: Mapping[str, float]) -> Figure | None:
    copy, axes = plotted_study(study), parameter_axes(study)
    complete = copy.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    varied = _varied(copy)
    labels = [axes[path].label for path in importance if axes[path].label in varied] or varied
    labels = labels[:_MATRIX_PARAMETERS]
    if len(complete) < MIN_PAIRS or len(labels) < 2:
        return None
    panels = np.atleast_2d(_plot(plot, copy, params=labels, target_name=objective_label(study, 0)))
    if plot == "plot_rank":
        panels.flat[0].figure.axes[-1].set_ylabel(f"rank by {objective_label(study, 0)}")
    else:
        for panel in panels.diagonal() if len(panels) > 1 else ():
            panel.set_facecolor("none")  # a hyperparameter against itself: empty
            panel.grid(visible=False)
    return _finished(panels.flat[0], height=4.0 if len(labels) == 2 else 7.6)


def _varied(copy: Study) -> list[str]:
    """Labels of the hyperparameters with two values or more among the COMPLETE trials."""
    values: dict[str, set[Any]] = {}
    for trial in copy.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        for label, value in trial.params.items():
            values.setdefault(label, set()).add(value)
    return sorted(label for label, distinct in values.items() if len(distinct) > 1)


def _plot(name: str, study: Study, **options: Any) -> Any:
    """Axes of one of Optuna's plots, detached from pyplot, whose global style it would change."""
    if "matplotlib.pyplot" not in sys.modules:
        mpl.use("Agg")  # no window; a notebook that has imported pyplot keeps its backend
    from matplotlib import pyplot as plt
    from optuna.visualization import matplotlib as plots

    function: Callable[..., Any] = getattr(plots, name)
    with (
        _optuna_warnings(),
        mpl.rc_context({"figure.constrained_layout.use": name != "plot_timeline"}),
    ):  # which calls tight_layout
        axes = function(study, **options)
    plt.close(np.atleast_1d(axes).flat[0].figure)
    return axes


@contextlib.contextmanager
def _optuna_warnings() -> Iterator[None]:
    """Silences the warning that Optuna's plots are experimental, and no other."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*\.plot_\w+ is experimental", ExperimentalWarning)
        yield


def _label_log_ticks(side: XAxis | YAxis) -> None:
    """Plain numbers at 1, 2 and 5, over more than two decades at 1; matplotlib's labels overlap."""
    low, high = side.get_view_interval()
    side.set_major_locator(LogLocator(subs=(1.0,) if high / low > 100 else (1.0, 2.0, 5.0)))
    side.set_major_formatter(lambda value, _: f"{value:g}")
    side.set_minor_formatter(NullFormatter())


def _finished(axis: Axes, *, height: float, legend: bool = False) -> Figure:
    """The figure of an axis at the width of the page, without titles, with small labels and a legend on top."""
    figure = axis.figure
    assert isinstance(figure, Figure)
    figure.set_layout_engine("constrained")
    figure.set_size_inches(_WIDTH, height)
    figure.suptitle("")
    for panel in figure.axes:
        panel.set_title("")
        panel.tick_params(which="both", labelsize=8)
        for side in (panel.xaxis, panel.yaxis):
            side.label.set_fontsize(9)
            if side.get_scale() == "log":
                _label_log_ticks(side)
    if legend:
        handles, labels = axis.get_legend_handles_labels()
        once = dict(zip(labels, handles, strict=True))
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "frameon": False}
        axis.legend(list(once.values()), list(once), ncols=len(once), fontsize=8, **place)
    return figure

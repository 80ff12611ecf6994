"""Figures of the trials of a search: history, curves, Pareto front and timeline, with Optuna's plots.

Own code adds marks for the chosen, stopped and failed trials, which Optuna does not show. A function returns None, or
no figures, if the study has too little to draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import MaxNLocator
from optuna.trial import TrialState

from gckd.tune.report.optuna_plots import CHOSEN, FAILED, FINISHED, STAR, STOPPED, finished, plot
from gckd.tune.report.plotted_study import plotted_study
from gckd.tune.report.trial_values import objective_label, trial_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna import Study
    from optuna.trial import FrozenTrial

    from gckd.tune.best import Candidate
    from gckd.tune.report.trial_values import TrialValue

_TIMELINE_STATES = {  # in Optuna's colours
    TrialState.COMPLETE: ("tab:blue", "finished"),
    TrialState.PRUNED: ("tab:orange", "stopped early"),
    TrialState.FAIL: ("tab:red", "failed"),
    TrialState.RUNNING: ("tab:green", "running"),
}


def history(study: Study, chosen: Candidate | None, objective: int = 0) -> Figure | None:
    """Value against trial number, with the best so far of the finished trials."""
    values = trial_values(study, objective)
    if len(values) < 2 or not any(value.complete for value in values):
        return None
    copy = plotted_study(study, (objective,), pruned=False)
    axis = plot("plot_optimization_history", copy, target_name=objective_label(study, objective))
    axis.get_lines()[0].set(label="best so far", drawstyle="steps-post")
    axis.collections[0].set_label("finished")
    marks: list[tuple[str, dict[str, Any], list[TrialValue]]] = [
        ("stopped early", {"color": "white", "edgecolors": STOPPED}, [v for v in values if not v.complete]),
        ("off the scale", {"marker": "v", "color": FAILED, "zorder": 4}, [v for v in values if v.is_clipped]),
        ("chosen", STAR, [v for v in values if _is_chosen(v.trial, chosen)]),
    ]
    for label, style, marked in marks:
        if marked:
            axis.scatter([v.trial.number for v in marked], [v.clipped for v in marked], label=label, **style)
    failed = [trial.number for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,))]
    if failed:
        bottom = axis.get_xaxis_transform()
        axis.plot(failed, [0.0] * len(failed), "x", color=FAILED, label="failed", transform=bottom, clip_on=False)
    axis.set_xlabel("trial")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return finished(axis, height=3.4, legend=True)


def curves(study: Study, chosen: Candidate | None) -> Figure | None:
    """First objective against the epoch, a line per trial; None if no trial reported two epochs."""
    copy = plotted_study(study)
    drawn = [trial for trial in copy.get_trials(deepcopy=False) if trial.intermediate_values]
    if max((len(trial.intermediate_values) for trial in drawn), default=0) < 2:
        return None
    axis = plot("plot_intermediate_values", copy)
    complete = {value.trial.number for value in trial_values(study) if value.complete}
    for line, trial in zip(axis.get_lines(), drawn, strict=True):
        line.set(color=FINISHED, label="finished")
        if trial.number not in complete:
            line.set(color=STOPPED, label="stopped early")
        if _is_chosen(trial, chosen):
            line.set(color=CHOSEN, label="chosen", linewidth=2.5, zorder=4)
    axis.set(xlabel="epoch", ylabel=objective_label(study, 0))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return finished(axis, height=3.4, legend=True)


def pareto(study: Study, chosen: Candidate | None) -> list[Figure]:
    """Each further objective against the first one, with the Pareto front of the finished trials."""
    copy = plotted_study(study, range(len(study.directions)), pruned=False)
    complete = copy.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    figures: list[Figure] = []
    for objective in range(1, len(study.directions) if len(complete) > 1 else 1):

        def pair(trial: FrozenTrial, objective: int = objective) -> list[float]:
            return [trial.values[0], trial.values[objective]]

        names = [objective_label(study, 0), objective_label(study, objective)]
        axis = plot("plot_pareto_front", copy, target_names=names, targets=pair)
        for points in axis.collections:
            points.set_label({"Best Trial": "Pareto front", "Trial": "dominated"}[str(points.get_label())])
        for trial in complete:
            if _is_chosen(trial, chosen):
                axis.scatter(*([value] for value in pair(trial)), label="chosen", **STAR)
        figures.append(finished(axis, height=3.6, legend=True))
    return figures


def timeline(study: Study) -> Figure | None:
    """Start, end and state of each trial."""
    started = [trial for trial in study.get_trials(deepcopy=False) if trial.datetime_start]
    if len(started) < 2:
        return None
    axis = plot("plot_timeline", study)
    locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call] # Optuna's lacks the date
    axis.set(xlabel="local time", ylabel="trial")
    axis.get_legend().remove()
    for state, (colour, label) in _TIMELINE_STATES.items():
        if any(trial.state == state for trial in started):
            axis.barh([0], [0], left=started[0].datetime_start, color=colour, label=label)
    return finished(axis, height=min(1.6 + 0.12 * len(started), 9.0), legend=True)


def _is_chosen(trial: FrozenTrial, chosen: Candidate | None) -> bool:
    return chosen is not None and trial.number == chosen.trial.number

"""Pictures of a search over its trials: history, epochs, Pareto front, resources, audit. Each is a figure or None."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.study import StudyDirection
from optuna.trial import TrialState

from gckd.tune.report.trial_values import UNITS, Point, capped, objective_label, points
from gckd.tune.trial_table import epochs
from gckd.validators import SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from optuna import Study

    from gckd.tune.best import Candidate

DONE, STOPPED, LOST, CHOSEN = "#1f5a99", "#8a97a6", "#c0392b", "#e8890c"
Look = dict[str, Any]  # how matplotlib draws something
_STAR: Look = {"s": 170, "marker": "*", "color": CHOSEN, "edgecolors": "black", "linewidths": 0.6, "zorder": 5}
_RING: Look = {"s": 100, "facecolors": "none", "linewidths": 1.4}
_STATES = {"COMPLETE": (DONE, "finished"), "PRUNED": (STOPPED, "stopped early"), "FAIL": (LOST, "failed")}
_WIDTH = 9.6  # inches, of every picture
_MANY = 24  # lines above which they fade


def history(study: Study, chosen: Candidate | None) -> Figure | None:
    """Value against number of trial, a panel for each objective, with the best so far of the finished ones."""
    figure, axes = panels(len(study.directions), across=1, height=3.1)
    drawn = [_history(axis, study, place, chosen) for place, axis in enumerate(axes)]
    axes[-1].set_xlabel("trial")
    return figure if any(drawn) else None


def _history(axis: Axes, study: Study, objective: int, chosen: Candidate | None) -> bool:
    found = points(study, objective)
    scatter(axis, [p.trial.number for p in found], found, chosen)
    done = [p for p in found if p.complete]
    best_of = max if study.directions[objective] == StudyDirection.MAXIMIZE else min
    so_far = [best_of(p.shown for p in done[: end + 1]) for end in range(len(done))]
    if so_far:
        numbers = [p.trial.number for p in done]
        axis.step(numbers, so_far, where="post", color=DONE, linewidth=1, alpha=0.6, label="best so far")
    lost = [t.number for t in study.get_trials(deepcopy=False, states=(TrialState.FAIL,))]
    if lost:
        look: Look = {"color": LOST, "markersize": 6, "zorder": 4, "clip_on": False}
        axis.plot(lost, [0.0] * len(lost), "x", label="failed", transform=axis.get_xaxis_transform(), **look)
    axis.set(ylabel=objective_label(study, objective), xlim=(-0.8, max(len(study.get_trials(deepcopy=False)), 1) - 0.2))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(axis)
    return bool(found)


def scatter(axis: Axes, x: Sequence[float], found: Sequence[Point], chosen: Candidate | None) -> None:
    """Points in their states' colours; a value beyond the fence as an arrow on it, the chosen trial as a star."""
    kinds: list[tuple[str, str, Look]] = [
        ("finished", "o", {"color": DONE}),
        ("stopped early", "o", {"facecolors": "white", "edgecolors": STOPPED}),
        ("far worse, off the scale", "v", {"color": LOST}),
    ]
    for kind, (label, marker, look) in enumerate(kinds):
        places = [i for i, p in enumerate(found) if (2 if p.beyond else int(not p.complete)) == kind]
        if places:
            shown = [found[i].shown for i in places]
            axis.scatter([x[i] for i in places], shown, s=22, marker=marker, label=label, zorder=3, **look)
    for at, p in zip(x, found, strict=True):
        if chosen is not None and p.trial.number == chosen.trial.number:
            axis.scatter([at], [p.shown], label="chosen", **_STAR)


def by_epoch(study: Study, chosen: Candidate | None) -> Figure | None:
    """The value told after each epoch, a line for each trial; None where no trial told two."""
    found = points(study)
    curves = [(p, {epoch: said["value"] for epoch, said in epochs(p.trial).items()}) for p in found]
    if max((len(curve) for _, curve in curves), default=0) < 2:
        return None
    figure, (axis,) = panels(1, across=1, height=3.1)
    faint = 0.9 if len(curves) < _MANY else 0.45
    for p, curve in curves:
        is_chosen = chosen is not None and p.trial.number == chosen.trial.number
        look: Look = {"color": DONE if p.complete else STOPPED, "linewidth": 1, "alpha": faint}
        if is_chosen:
            look = {"color": CHOSEN, "linewidth": 2.2, "zorder": 4}
        label = "chosen" if is_chosen else "finished" if p.complete else "stopped early"
        axis.plot(list(curve), list(curve.values()), marker=".", label=label, **look)
    fit(axis, capped(study, [value for _, curve in curves for value in curve.values()]))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel="epoch", ylabel=objective_label(study, 0))
    legend(axis)
    return figure


def pareto(study: Study, chosen: Candidate | None) -> Figure | None:
    """Every other objective against the first, with the trials that none is better than; None for one objective."""
    others = range(1, len(study.directions))
    first = {p.trial.number: p for p in points(study, 0)}
    if not others or not first:
        return None
    on_front = {trial.number for trial in study.best_trials}
    figure, axes = panels(len(others), across=2, height=3.6)
    for axis, place in zip(axes, others, strict=True):
        other = [p for p in points(study, place) if p.trial.number in first]
        scatter(axis, [first[p.trial.number].shown for p in other], other, chosen)
        ring = [p for p in other if p.trial.number in on_front]
        x = [first[p.trial.number].shown for p in ring]
        axis.scatter(x, [p.shown for p in ring], edgecolors=DONE, label="Pareto front", **_RING)
        axis.set(xlabel=objective_label(study, 0), ylabel=objective_label(study, place))
        legend(axis)
    return figure


def resources(study: Study) -> Figure | None:
    """Seconds and peak memory of each trial, coloured by its state; None where no trial told either."""
    trials = study.get_trials(deepcopy=False)
    told = [(key, label) for key, label in UNITS.items() if any(key in t.user_attrs for t in trials)]
    if not told:
        return None
    figure, axes = panels(len(told), across=len(told), height=2.6)
    for axis, (key, title) in zip(axes, told, strict=True):
        for state, (colour, label) in _STATES.items():
            bars = {t.number: t.user_attrs[key] for t in trials if t.state.name == state and key in t.user_attrs}
            if bars:
                axis.bar(list(bars), list(bars.values()), color=colour, width=0.8, label=label)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set(xlabel="trial", ylabel=title)
        legend(axis)
    return figure


def audited(found: Sequence[Candidate], picked: dict[str, int]) -> Figure:
    """True Rank-1 against each score, a panel for each; the trial the score picks is ringed.

    Args:
        found: candidates with a true Rank-1. picked: score -> index of the candidate it picks.
    """
    names = [name for name in picked if name in SCORES]
    truth = [c.true_rank_1 or 0.0 for c in found]
    figure, axes = panels(len(names), across=3, height=2.4)
    for axis, name in zip(axes, names, strict=True):
        values = [c.scores[name] for c in found]
        axis.scatter(values, truth, s=18, color=DONE)
        axis.scatter([values[picked[name]]], [truth[picked[name]]], edgecolors=CHOSEN, **_RING)
        axis.set(xlabel=name, ylabel="true Rank-1, %")
    return figure


def panels(count: int, *, across: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of the page's width with so many panels, `height` inches each."""
    down = -(-count // across)
    figure = Figure(figsize=(_WIDTH, height * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for axis in grid.flat[count:]:
        axis.set_visible(False)
    axes: list[Axes] = list(grid.flat[:count])
    for axis in axes:
        axis.xaxis.label.set_fontsize(9)
        axis.yaxis.label.set_fontsize(9)
        axis.grid(visible=True, color="#e4e7eb", linewidth=0.7)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    return figure, axes


def fit(axis: Axes, shown: Sequence[float]) -> None:
    """Limits of the values that are to be read; what lies beyond is cut off."""
    room = 0.06 * (max(shown) - min(shown)) or 0.05 * abs(max(shown)) or 0.05
    axis.set_ylim(min(shown) - room, max(shown) + room)


def legend(axis: Axes) -> None:
    """Each label once, above the axis, where it hides nothing."""
    handles, labels = axis.get_legend_handles_labels()
    once = dict(zip(reversed(labels), reversed(handles), strict=True))
    if once:
        names = list(dict.fromkeys(labels))
        place: Look = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": len(names), "frameon": False}
        axis.legend([once[name] for name in names], names, fontsize=7.5, borderaxespad=0.2, columnspacing=1.2, **place)

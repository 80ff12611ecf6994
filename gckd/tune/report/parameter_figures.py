"""Pictures of the hyperparameters: each against the score, all in parallel, and how much each mattered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from optuna.study import StudyDirection

from gckd.tune.report.axes import scales
from gckd.tune.report.figures import CHOSEN, DONE, STOPPED, Look, fit, legend, panels, scatter
from gckd.tune.report.trial_values import objective_label, points

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from optuna import Study

    from gckd.tune.best import Candidate
    from gckd.tune.report.axes import Scale
    from gckd.tune.report.importance import Importance

_ABSENT = -0.16  # where a line passes a hyperparameter that its trial does not have


def against_score(study: Study, chosen: Candidate | None) -> Figure | None:
    """The first objective against each hyperparameter, on the scale it was sampled on."""
    found, known = points(study), scales(study)
    if not found or not known:
        return None
    figure, axes = panels(len(known), across=3, height=2.7)
    for place, (axis, scale) in enumerate(zip(axes, known, strict=True)):
        having = [p for p in found if scale.name in p.trial.params]
        scatter(axis, [scale.at(p.trial.params[scale.name]) for p in having], having, chosen)
        axis.set_xticks([scale.at(value) for value in scale.ticks()], [scale.text(value) for value in scale.ticks()])
        axis.set(xlabel=scale.label, xlim=(-0.05, 1.05))
        if place % 3 == 0:
            axis.set_ylabel(objective_label(study, 0))
        fit(axis, [p.shown for p in found])
    _legend_of_all(figure, axes)
    return figure


def _legend_of_all(figure: Figure, axes: Sequence[Axes]) -> None:
    """One for all panels: each label once."""
    once = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    place: Look = {"loc": "outside upper left", "ncols": len(once), "frameon": False}
    figure.legend(list(once.values()), list(once), fontsize=7.5, columnspacing=1.2, **place)


def parallel(study: Study, chosen: Candidate | None) -> Figure | None:
    """A line for each trial through its hyperparameters to its value, coloured by that; the chosen one is thick."""
    found, known = points(study), scales(study)
    if not found or not known:
        return None
    figure, (axis,) = panels(1, across=1, height=3.8)
    shown = [p.shown for p in found]
    colour = Normalize(min(shown), max(shown))
    up = study.directions[0] == StudyDirection.MAXIMIZE
    tints = colormaps["viridis" if up else "viridis_r"]
    for p in sorted(found, key=lambda p: p.shown if up else -p.shown):
        heights = [s.at(p.trial.params[s.name]) if s.name in p.trial.params else _ABSENT for s in known]
        is_chosen = chosen is not None and p.trial.number == chosen.trial.number
        look: Look = {"color": tints(colour(p.shown)), "linewidth": 1.1, "alpha": 0.75}
        if is_chosen:
            look = {"color": CHOSEN, "linewidth": 3, "zorder": 5}
        axis.plot(range(len(known)), heights, linestyle="-" if p.complete else ":", **look)
    _upright(axis, known, absent={s.name for s in known if any(s.name not in p.trial.params for p in found)})
    bar = figure.colorbar(ScalarMappable(colour, tints), ax=axis, pad=0.02)
    bar.set_label(objective_label(study, 0), fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure


def _upright(axis: Axes, known: Sequence[Scale], absent: Collection[str]) -> None:
    """A labelled vertical axis for each hyperparameter."""
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.set_yticks([])
    for place, scale in enumerate(known):
        axis.plot([place, place], [0, 1], color="#4a5561", linewidth=0.9, zorder=3)
        for value in scale.ticks():
            at = scale.at(value)
            axis.plot([place - 0.015, place + 0.015], [at, at], color="#4a5561", linewidth=0.9, zorder=3)
            box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8}
            axis.text(place + 0.025, at, scale.text(value), fontsize=7, va="center", zorder=6, bbox=box)
        if scale.name in absent:
            axis.text(place + 0.025, _ABSENT, "absent", fontsize=7, va="center", color="#4a5561")
    axis.set_xticks(range(len(known)), [scale.label for scale in known])
    axis.set_xlim(-0.15, len(known) - 0.65)
    axis.set_ylim(_ABSENT - 0.06 if absent else -0.06, 1.06)
    axis.tick_params(axis="x", length=0, labelsize=8)


def bars(study: Study, found: Sequence[Importance]) -> Figure | None:
    """Importance by both methods, a panel for each objective; None where neither says anything."""
    if not any(i.fanova or i.ped_anova for i in found):
        return None
    names = sorted({name for i in found for name in (*i.fanova, *i.ped_anova)}, reverse=True)
    figure, axes = panels(len(found), across=len(found), height=0.9 + 0.42 * len(names))
    for place, (axis, shares) in enumerate(zip(axes, found, strict=True)):
        for shift, label, values, tint in (
            (0.2, "fANOVA", shares.fanova, DONE),
            (-0.2, "PED-ANOVA", shares.ped_anova, STOPPED),
        ):
            at = [row + shift for row, name in enumerate(names) if name in values]
            widths = [values[name] for name in names if name in values]
            drawn = axis.barh(at, widths, height=0.36, color=tint, label=label)
            axis.bar_label(drawn, [f"{width:.2f}" for width in widths], fontsize=7, padding=2)
        axis.set_yticks(range(len(names)), names if place == 0 else [""] * len(names))
        axis.set(xlim=(0, 1.1), xlabel=f"share of importance for {objective_label(study, place)}")
        axis.grid(visible=False, axis="y")
        legend(axis)
    return figure

"""Does the teacher teach the target: what it accepts, how sure and how right it is, and what that has to do with the
gain?
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gckd.report.checks.finding import Finding, Results, draw_curve, mean, panels, row_legend, say_empty, styles
from gckd.report.summary import FULL
from gckd.report.warnings import AUDIT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Run = tuple[str, int]  # row, seed

_FEWEST = 4  # runs below which a rank correlation says nothing
_CURVES = (
    ("accepted_share", "target pairs above delta, %", 100),
    ("confidence_50", "confidence: median cosine (band: 10 to 90 % of full)", 1),
    ("target_entropy", "entropy of the targets, nats", 1),
    (f"{AUDIT}accepted_precision", "accepted pairs of one person, %", 100),
    (f"{AUDIT}target_precision", "targets of the right person, %", 100),
)
_AGAINST_GAIN = {
    f"{AUDIT}target_precision": "precision of the targets",
    f"{AUDIT}accepted_precision": "precision of accepted pairs",
    "accepted_share": "share of accepted pairs",
    "confidence_50": "median confidence",
    "target_entropy": "entropy of the targets",
}


def teacher_transfer(results: Results) -> Iterator[Finding]:
    """Its curves, and a point for each run: gain over source-only against the precision of its targets."""
    figure, axes = panels(2, 3, width=4.2, height=3.0)
    for axis, (name, title, scale) in zip(axes, _CURVES, strict=False):
        draw_curve(axis, results, name, title, scale)
    _band(axes[1], results)
    gained, over = gains(results)
    _scatter(axes[5], results, gained, over)
    row_legend(figure, results, axes[:5])
    words = _acceptance(results), _precision(results), _correlations(results, gained, over)
    title = "Does the teacher teach the target?   (line: mean over seeds; band: their range; *: reads target labels)"
    yield Finding("teacher_transfer", title, words, True, figure)


def gains(results: Results) -> tuple[dict[Run, float], str]:
    """Points of Rank-1 that each run has over source-only, and over what.

    On target test over the row without target terms, of the same seed, where there is one; else on target val, over
    the source model before adaptation.
    """
    reached = results.rank_1()
    base = next((str(r["row"]) for r in results.done if _source_only(r)), None)
    if base is not None:
        told = {
            run: v - reached[base, run[1]] for run, v in reached.items() if run[0] != base and (base, run[1]) in reached
        }
        return told, f"target test, over row {base}"
    found: dict[Run, float] = {}
    for row in results.rows:
        curve = results.curve("target_val_rank_1", row)
        start = curve.get(0, {})
        found |= {(row, s): v - start[s] for s, v in results.last("target_val_rank_1", row).items() if s in start}
    return found, "target val, over the source model before adaptation"


def _source_only(record: Mapping[str, Any]) -> bool:
    targets = json.loads(record["edits"] or "{}").get("distill.targets")
    return isinstance(targets, dict) and targets.get("kind") == "none"


def _band(axis: Axes, results: Results) -> None:
    """The middle 80 % of the full method's pairs, around their median."""
    low, high = (results.curve(f"confidence_{percent}", FULL) for percent in (10, 90))
    if low and high:
        bottom, top = ([mean(found.values()) for found in curve.values()] for curve in (low, high))
        axis.fill_between(list(low), bottom, top, alpha=0.12, linewidth=0, color=styles([FULL])[FULL]["color"])


def _scatter(axis: Axes, results: Results, gained: Mapping[Run, float], over: str) -> None:
    looks, name = styles(results.rows), f"{AUDIT}target_precision"
    for row in results.rows:
        last = results.last(name, row)
        points = [(100 * last[s], gained[row, s]) for s in last if (row, s) in gained]
        if points:
            look = {name: looks[row][name] for name in ("color", "marker")}
            x, y = zip(*points, strict=True)
            axis.scatter(x, y, s=24, label=row, **look)
    if not axis.collections:
        say_empty(axis)
    axis.axhline(0, color="#888888", linewidth=0.8)
    axis.set_title(f"gain in Rank-1, points\n({over})", fontsize=8)
    axis.set_xlabel("targets of the right person at the last step, % *", fontsize=8)


def _acceptance(results: Results) -> str:
    share = results.last("accepted_share", FULL)
    quantiles = [mean(results.last(f"confidence_{percent}", FULL).values()) for percent in (10, 50, 90)]
    if quantiles[1] != quantiles[1]:
        return "Row full has no teacher or no targets, so that there is no confidence to look at."
    low, middle, high = quantiles
    accepted = f"{100 * mean(share.values()):.1f} % of the target pairs pass delta" if share else "no pair is matched"
    return (
        f"At the last step of row full {accepted}; the cosine of a target entry and its most similar partner is "
        f"{middle:.2f} in the median and between {low:.2f} and {high:.2f} for the middle 80 %."
    )


def _precision(results: Results) -> str:
    told = []
    for name, what in ((f"{AUDIT}accepted_precision", "accepted pairs"), (f"{AUDIT}target_precision", "targets")):
        curve = results.curve(name, FULL)
        if curve:
            ends = [100 * mean(curve[step].values()) for step in (min(curve), max(curve))]
            told.append(f"of {what} {ends[0]:.0f} % at the first and {ends[1]:.0f} % at the last evaluation")
    if not told:
        return "How many pairs are of one person was not measured: evaluate.audit is off, or nothing was accepted."
    return "Of one person are, in row full (uses target labels), " + "; ".join(told) + "."


def _correlations(results: Results, gained: Mapping[Run, float], over: str) -> str:
    told = []
    for name, what in _AGAINST_GAIN.items():
        found = {(row, s): v for row in results.rows for s, v in results.last(name, row).items() if (row, s) in gained}
        rho = rank_correlation(list(found.values()), [gained[run] for run in found])
        if rho is not None:
            told.append(f"{what} {rho:+.2f} (n = {len(found)})")
    if not told:
        return f"Fewer than {_FEWEST} runs can be compared with source-only, too few for a correlation with the gain."
    return (
        f"Spearman correlation with the gain in Rank-1 ({over}) over runs, which rows and seeds tie together: "
        f"{'; '.join(told)}."
    )


def rank_correlation(x: list[float], y: list[float]) -> float | None:
    """Spearman's rho; None for fewer than 4 pairs, or where x or y is one value throughout."""
    if len(x) < _FEWEST or min(x) == max(x) or min(y) == max(y):
        return None
    from scipy.stats import spearmanr  # slow to import, and no other command needs it

    return float(spearmanr(x, y).statistic)

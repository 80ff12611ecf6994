"""Transfer check: what does the teacher accept, how confident and correct is it, and does that go with the gain?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gckd.config.component import TargetsConfig
from gckd.report.checks.check_input import CheckInput, mean
from gckd.report.checks.check_result import CheckResult
from gckd.report.checks.panels import CURVE_KEY, draw_curve, mark_empty, panels, row_legend, styles
from gckd.report.curves import AUDIT_PREFIX
from gckd.report.summary import FULL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Run = tuple[str, int]  # row, seed

_MIN_RUNS = 4  # for a rank correlation
_CURVES = (  # curve, title, scale
    ("accepted_share", "target pairs above delta, %", 100),
    ("confidence_50", "confidence: median cosine (band: 10 to 90 % of full)", 1),
    ("target_entropy", "entropy of the pseudo targets, nats", 1),
    (f"{AUDIT_PREFIX}accepted_precision", "correct accepted pairs, %", 100),
    (f"{AUDIT_PREFIX}target_precision", "correct pseudo targets, %", 100),
)
_AGAINST_GAIN = {
    f"{AUDIT_PREFIX}target_precision": "precision of the pseudo targets",
    f"{AUDIT_PREFIX}accepted_precision": "precision of the accepted pairs",
    "accepted_share": "share of accepted pairs",
    "confidence_50": "median confidence",
    "target_entropy": "entropy of the pseudo targets",
}


def check_transfer(given: CheckInput) -> Iterator[CheckResult]:
    """Curves of the teacher, and the gain of each run against the precision of its pseudo targets."""
    figure, axes = panels(2, 3, width=4.2, height=3.0)
    for axis, (name, title, scale) in zip(axes, _CURVES, strict=False):
        draw_curve(axis, given, name, title, scale)
    _draw_band(axes[1], given)
    gain_of, reference = gains(given)
    _draw_scatter(axes[5], given, gain_of, reference)
    row_legend(figure, given, axes[:5])
    sentences = _acceptance(given), _precision(given), _correlations(given, gain_of, reference)
    title = "Does the teacher teach the target?"
    yield CheckResult("teacher_transfer", title, CURVE_KEY, sentences, True, figure)


def gains(given: CheckInput) -> tuple[dict[Run, float], str]:
    """Gain in Rank-1 of each run (points) over the source-only baseline, and its reference in words.

    If a row learns nothing from the target, the gain is that on target test over the same seed of that row. Otherwise
    it is that on target val over the source model, before adaptation.
    """
    rank_1 = given.rank_1()
    baseline = next((row for row in given.rows if _is_source_only(given, row)), None)
    if baseline is not None:
        over_baseline = {
            (row, seed): value - rank_1[baseline, seed]
            for (row, seed), value in rank_1.items()
            if row != baseline and (baseline, seed) in rank_1
        }
        return over_baseline, f"target test, over row {baseline}"
    over_source: dict[Run, float] = {}
    for row in given.rows:
        start = given.curve("target_val_rank_1", row).get(0, {})
        last = given.last("target_val_rank_1", row)
        over_source |= {(row, seed): value - start[seed] for seed, value in last.items() if seed in start}
    return over_source, "target val, over the source model before adaptation"


def _is_source_only(given: CheckInput, row: str) -> bool:
    """Whether the edits of a row turn the target term off."""
    edits = json.loads(next(r["edits"] for r in given.done if r["row"] == row) or "{}")
    off_kinds = {choice.kind for choice in TargetsConfig.choices() if choice.off}
    return "distill.targets" in edits and edits["distill.targets"]["kind"] in off_kinds


def _draw_band(axis: Axes, given: CheckInput) -> None:
    """Confidence of the middle 80 % of the pairs of the full method."""
    low, high = (given.curve(f"confidence_{percent}", FULL) for percent in (10, 90))
    if low and high:
        bottom, top = ([mean(by_seed.values()) for by_seed in curve.values()] for curve in (low, high))
        axis.fill_between(list(low), bottom, top, alpha=0.12, linewidth=0, color=styles([FULL])[FULL]["color"])


def _draw_scatter(axis: Axes, given: CheckInput, gain_of: Mapping[Run, float], reference: str) -> None:
    style_of, name = styles(given.rows), f"{AUDIT_PREFIX}target_precision"
    for row in given.rows:
        last = given.last(name, row)
        points = [(100 * last[seed], gain_of[row, seed]) for seed in last if (row, seed) in gain_of]
        if points:
            x, y = zip(*points, strict=True)
            axis.scatter(x, y, s=24, label=row, color=style_of[row]["color"], marker=style_of[row]["marker"])
    if not axis.collections:
        mark_empty(axis)
    axis.axhline(0, color="#888888", linewidth=0.8)
    axis.set_title(f"gain in Rank-1, points\n({reference})", fontsize=8)
    axis.set_xlabel("correct pseudo targets at the last step, % *", fontsize=8)


def _acceptance(given: CheckInput) -> str:
    share = given.last("accepted_share", FULL)
    quantiles = [mean(given.last(f"confidence_{percent}", FULL).values()) for percent in (10, 50, 90)]
    if quantiles[1] != quantiles[1]:
        return "Row full has no teacher or no pseudo targets, so there is no confidence to report."
    low, median, high = quantiles
    accepted = f"{100 * mean(share.values()):.1f} % of the target pairs pass delta" if share else "no pair is matched"
    return (
        f"At the last step of row full, {accepted}; the cosine of a target entry and its most similar partner has a "
        f"median of {median:.2f}, and its middle 80 % are between {low:.2f} and {high:.2f}."
    )


def _precision(given: CheckInput) -> str:
    precisions = []
    for name, subject in (("accepted_precision", "accepted pairs"), ("target_precision", "pseudo targets")):
        curve = given.curve(f"{AUDIT_PREFIX}{name}", FULL)
        if curve:
            first, last = (100 * mean(curve[step].values()) for step in (min(curve), max(curve)))
            precisions.append(f"{first:.0f} % of the {subject} at the first evaluation and {last:.0f} % at the last")
    if not precisions:
        return "Precision was not measured: evaluate.audit is off, or no pair was accepted."
    return f"In row full, these have the correct identity (uses target labels): {'; '.join(precisions)}."


def _correlations(given: CheckInput, gain_of: Mapping[Run, float], reference: str) -> str:
    correlations = []
    for name, quantity in _AGAINST_GAIN.items():
        last = {(row, s): v for row in given.rows for s, v in given.last(name, row).items() if (row, s) in gain_of}
        rho = rank_correlation(list(last.values()), [gain_of[run] for run in last])
        if rho is not None:
            correlations.append(f"{quantity} {rho:+.2f} (n = {len(last)})")
    if not correlations:
        return f"Fewer than {_MIN_RUNS} runs have a gain over source-only training, too few for a correlation with it."
    return (
        f"Spearman correlation with the gain in Rank-1 ({reference}) over runs, which are not independent because they "
        f"share rows and seeds: {'; '.join(correlations)}."
    )


def rank_correlation(x: list[float], y: list[float]) -> float | None:
    """Spearman's rho; None for fewer than 4 pairs, or if all values of x or of y are equal."""
    if len(x) < _MIN_RUNS or min(x) == max(x) or min(y) == max(y):
        return None
    from scipy.stats import spearmanr  # slow to import, and no other command needs it

    return float(spearmanr(x, y).statistic)

"""Audit of the label-free scores in the report of a search."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from gckd.report.html.page import NONE, Table
from gckd.tune.best import candidates
from gckd.tune.report.optuna_plots import CHOSEN, FINISHED, WIDTH, finished
from gckd.tune.report.tables import number
from gckd.validators import SCORES, audit
from gckd.validators.audit import METRICS
from gckd.validators.choose import DEFAULT_NEEDS
from gckd.validators.reliability import HALVES, reliability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna import Study

    from gckd.tune.best import Candidate
    from gckd.validators import AuditRow
    from gckd.validators.audit import Correlation

_NAMES = {"rank_1": "Rank-1", "map": "mAP"}
_SHOWN = "map"  # in the figure: the more reliable metric


def audit_rows(study: Study) -> tuple[list[Candidate], list[AuditRow]]:
    """The finished trials with true metrics and the scores of the default, and the audit of each score over them."""
    audited = [c for c in candidates(study) if c.true.keys() >= set(METRICS) and c.scores.keys() >= DEFAULT_NEEDS]
    rows = audit([c.scores for c in audited], [c.true for c in audited], study.user_attrs["start"]) if audited else []
    return audited, rows


def audit_table(audited: Sequence[Candidate], rows: Sequence[AuditRow]) -> Table:
    """Correlation of each selection score with the true metrics, the trial that it picks, and its regret."""
    head = ["selection score", *(f"rho, {_NAMES[name]} (95 % interval)" for name in METRICS), "picked trial"]
    head += [f"true {_NAMES[name]}, %" for name in METRICS]
    body = []
    for row in rows:
        picked = None if row.picked is None else audited[row.picked]
        correlations = [_correlation_text(row.correlation.get(name)) for name in METRICS]
        true = [f"{picked.true[name]:.1f}" if picked else NONE for name in METRICS]
        regrets = [f"{row.regret[name]:.2f}" for name in METRICS]
        body.append([row.select, *correlations, number(picked.trial.number if picked else None), *true, *regrets])
    return Table([*head, *(f"regret, {_NAMES[name]} points" for name in METRICS)], body)


def _correlation_text(value: Correlation | None) -> str:
    return f"{value.spearman:+.2f} ({value.low:+.2f} to {value.high:+.2f})" if value else NONE


def reliability_line(audited: Sequence[Candidate]) -> str:
    """Sentence on how far the true metrics of the trials can be trusted; empty if it is not known."""
    parts = []
    for metric, (first, second) in HALVES.items():
        result = reliability([(c.true[first], c.true[second]) for c in audited if c.true.keys() >= {first, second}])
        if result:
            parts.append(f"{result.halves:+.2f} in {_NAMES[metric]}, limit {result.limit:.2f}")
    if not parts:
        return ""
    return (
        "Reliability of the truth: Spearman's rho of the trials between two halves of the val identities is "
        f"{'; '.join(parts)}. The limit is the rho that a score without any error is expected to reach on a split "
        "of this size (Spearman-Brown formula)."
    )


def audit_figure(audited: Sequence[Candidate], picked: Mapping[str, int]) -> Figure | None:
    """True mAP against each score; the trial that the score picks is ringed.

    Args:
        audited: with true metrics.
        picked: score -> index of the candidate that it picks.
    """
    names = [name for name in picked if name in SCORES]
    if len(audited) < 2 or not names:
        return None
    truth = [candidate.true[_SHOWN] for candidate in audited]
    rows = -(-len(names) // 3)
    figure = Figure(figsize=(WIDTH, 2.4 * rows))
    axes = figure.subplots(rows, 3, squeeze=False).flat
    for axis, name in itertools.zip_longest(axes, names):
        if name is None:
            axis.set_visible(False)
            continue
        values = [candidate.scores[name] for candidate in audited]
        axis.scatter(values, truth, s=18, color=FINISHED)
        at = picked[name]
        axis.scatter([values[at]], [truth[at]], s=110, facecolors="none", edgecolors=CHOSEN, linewidths=1.6)
        axis.set(xlabel=name, ylabel=f"true {_NAMES[_SHOWN]}, %")
        axis.spines[["top", "right"]].set_visible(False)
    return finished(axes[0], height=2.4 * rows)

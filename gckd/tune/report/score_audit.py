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
from gckd.validators.choose import DEFAULT_NEEDS
from gckd.validators.reliability import reliability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna import Study

    from gckd.tune.best import Candidate
    from gckd.validators import AuditRow


def audit_rows(study: Study) -> tuple[list[Candidate], list[AuditRow]]:
    """The finished trials with a true Rank-1 and the scores of the default, and the audit of each score over them."""
    audited = [c for c in candidates(study) if c.true_rank_1 is not None and c.scores.keys() >= DEFAULT_NEEDS]
    truth = [candidate.true_rank_1 or 0.0 for candidate in audited]
    return audited, audit([c.scores for c in audited], truth, study.user_attrs["start"]) if audited else []


def audit_table(audited: Sequence[Candidate], rows: Sequence[AuditRow]) -> Table:
    """Correlation of each selection score with the true Rank-1, the trial that it picks, and its regret."""
    body = []
    for row in rows:
        correlation = row.correlation
        spearman = kendall = NONE
        if correlation:
            spearman = f"{correlation.spearman:+.2f} ({correlation.low:+.2f} to {correlation.high:+.2f})"
            kendall = f"{correlation.kendall:+.2f}"
        picked = None if row.picked is None else audited[row.picked]
        trial, truth = (None, None) if picked is None else (picked.trial.number, picked.true_rank_1)
        body.append([row.select, spearman, kendall, number(trial), number(truth), f"{row.regret:.2f}"])
    head = ["selection score", "Spearman's rho (95 % interval)", "Kendall's tau", "picked trial", "true Rank-1, %"]
    return Table([*head, "oracle regret, points"], body)


def reliability_line(audited: Sequence[Candidate]) -> str:
    """Sentence on how far the true Rank-1 of the trials can be trusted; empty if it is not known."""
    result = reliability([(each.halves[0], each.halves[1]) for each in audited if each.halves])
    if result is None:
        return ""
    return (
        f"Reliability of the true Rank-1: on two halves of the val identities, the trials correlate with rho = "
        f"{result.halves:+.2f}, which makes {result.whole:.2f} for the whole split (Spearman-Brown formula). So "
        f"a score without any error would reach rho = {result.limit:.2f} in this table."
    )


def audit_figure(audited: Sequence[Candidate], picked: Mapping[str, int]) -> Figure | None:
    """True Rank-1 against each score; the trial that the score picks is ringed.

    Args:
        audited: with a true Rank-1.
        picked: score -> index of the candidate that it picks.
    """
    names = [name for name in picked if name in SCORES]
    if len(audited) < 2 or not names:
        return None
    truth = [candidate.true_rank_1 or 0.0 for candidate in audited]
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
        axis.set(xlabel=name, ylabel="true Rank-1, %")
        axis.spines[["top", "right"]].set_visible(False)
    return finished(axes[0], height=2.4 * rows)

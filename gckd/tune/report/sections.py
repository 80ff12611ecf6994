"""Sections of the report of a search, in their order, with their text, tables and figures."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import sqlalchemy

from gckd.cluster.trial import ORACLE
from gckd.report.html.page import Section
from gckd.tune.best import caption, checkpoints, criterion, selector, train_command, warning
from gckd.tune.report import parameter_figures, tables, trial_figures
from gckd.tune.report.cost import cost_table, failure_table
from gckd.tune.report.importance import FANOVA_TRIALS, MIN_TRIALS, RESAMPLES, importance
from gckd.tune.report.pictures import save_pictures
from gckd.tune.report.score_audit import audit_figure, audit_rows, audit_table, reliability_line
from gckd.tune.storage import FILE

if TYPE_CHECKING:
    from pathlib import Path

    from optuna import Study

    from gckd.tune.best import Candidate
    from gckd.tune.options import NextCommand
    from gckd.tune.report.importance import Importance

_BEST_TRIALS = 10
_VALUE = (
    "The value of a trial is that of its selected epoch; of a trial stopped early, that of its last epoch. A value far "
    "below the others (a collapsed model) is drawn at the lower edge."
)


def sections(
    study: Study, chosen: Candidate | None, folder: Path, storage: str | None, next_command: NextCommand | None = None
) -> list[Section]:
    """All sections; writes a PNG into `folder` for each figure.

    Args:
        storage, next_command: see `gckd.tune.report.search_report.write_search_report`.
    """
    shares = [importance(study, objective) for objective in range(len(study.directions))]
    return [
        *_choice(study, chosen),
        Section("Setup", table=tables.setup_table(study)),
        *_course(study, chosen, folder),
        *_hyperparameters(study, chosen, shares[0], folder),
        _importance(study, shares, folder),
        _audit(study, folder),
        _cost(study, folder),
        _failures(study),
        _commands(study, chosen, folder, storage, next_command),
    ]


def _choice(study: Study, chosen: Candidate | None) -> list[Section]:
    if chosen is None:
        return [Section("Chosen trial", ["None: no trial has finished. There is no best.yaml."])]
    lines = [
        f"Trial {chosen.trial.number}, epoch {chosen.epoch}: the best finished trial by {criterion(study)}. best.yaml "
        "trains this model again."
    ]
    if paths := checkpoints(chosen):
        lines.append(f"Checkpoint: {', '.join(paths)}")
    test = study.user_attrs.get("best_test")
    if test and test["number"] == chosen.trial.number:
        lines.append(f"On the target's test split: Rank-1 {test['rank_1']:.1f} %, mAP {test['map']:.1f} %.")
    order = f"Finished trials, best first by {criterion(study)}, as in Optuna and its dashboard."
    if len(study.directions) > 1:
        order = (
            "The Pareto front, best first by the first objective: no other finished trial is better in one objective "
            "and at least equal in the rest."
        )
    return [
        Section("Chosen trial", lines, warning=warning(study), table=tables.edits_table(study, chosen)),
        Section("Scores of the chosen trial", ["Higher is better."], tables.scores_table(study, chosen)),
        Section("Best trials", [order, caption(study)], tables.best_trials_table(study, _BEST_TRIALS, scores=True)),
    ]


def _course(study: Study, chosen: Candidate | None, folder: Path) -> list[Section]:
    objectives = range(len(study.directions))
    history = save_pictures(
        [trial_figures.history(study, chosen, objective) for objective in objectives], folder, "history"
    )
    pareto = save_pictures(trial_figures.pareto(study, chosen), folder, "pareto")
    curves = save_pictures([trial_figures.curves(study, chosen)], folder, "epochs")
    text = _VALUE
    if selector(study) == "default":
        text += " default: mean over three scores of log(score / score of the source model)."
    parts = [
        Section("History", [text if history else "No figure: it needs two trials with a value."], pictures=history)
    ]
    if pareto:
        parts.append(Section("Objectives against each other", ["Finished trials."], pictures=pareto))
    if curves:
        parts.append(Section("Value by epoch", ["One line per trial."], pictures=curves))
    return parts


def _hyperparameters(study: Study, chosen: Candidate | None, shares: Importance, folder: Path) -> list[Section]:
    ranking = shares.fanova or shares.ped_anova
    parts = [
        (
            "Hyperparameters against the value",
            "Finished trials and trials stopped early. Star: chosen trial.",
            save_pictures(parameter_figures.slices(study, chosen), folder, "slices"),
        ),
        (
            "Parallel coordinates",
            "One line per trial. None: the trial does not have this hyperparameter.",
            save_pictures([parameter_figures.parallel(study)], folder, "parallel"),
        ),
        (
            "Contours",
            "Value over pairs of the most important hyperparameters, interpolated between the trials (dots).",
            save_pictures([parameter_figures.contours(study, ranking)], folder, "contours"),
        ),
        (
            "Ranks",
            "Trials over pairs of the most important hyperparameters, coloured by the rank of their value.",
            save_pictures([parameter_figures.ranks(study, ranking)], folder, "ranks"),
        ),
    ]
    drawn = [Section(title, [text], pictures=pictures) for title, text, pictures in parts if pictures]
    return drawn or [Section("Hyperparameters", ["No figure: it needs two trials with different hyperparameters."])]


def _importance(study: Study, shares: list[Importance], folder: Path) -> Section:
    count = f"{shares[0].complete} finished and {shares[0].pruned} stopped early"
    pictures = save_pictures([parameter_figures.importances(study, shares)], folder, "importance")
    if not pictures:
        line = f"Unknown: it needs {MIN_TRIALS} trials with different values. This study has {count}."
        return Section("Importance", [line])
    lines = [
        "Read fANOVA first: share of the variance, for hyperparameters that every trial has, from at most "
        f"{FANOVA_TRIALS} trials, with 90 % bootstrap intervals over {RESAMPLES} resamples. Hyperparameters whose "
        "intervals overlap have no certain order. PED-ANOVA: difference of the best tenth from all trials, also "
        f"for hyperparameters that only some trials have. Shares sum to 1, over {count}, which count with their last "
        "value."
    ]
    return Section("Importance", lines, pictures=pictures)


def _audit(study: Study, folder: Path) -> Section:
    audited, rows = audit_rows(study)
    if not rows:
        line = (
            "Not available: no finished trial has true metrics. After the search the audit reads the labels of the "
            "target's val split, if the target has labels. Nothing else in this report depends on it."
        )
        return Section("Audit of the scores", [line])
    when = "" if selector(study) == ORACLE else ", read after the search"
    lines = [
        f"With target labels: true Rank-1 and mAP of {len(audited)} finished trials on the target's val split{when}. "
        "rho: Spearman's correlation of the score with the true metric. Regret: best true value minus that of the "
        "picked trial, in percentage points. random: mean over the trials. Ring: trial that the score picks.",
        *filter(None, [reliability_line(audited)]),
    ]
    picked = {row.select: row.picked for row in rows if row.picked is not None}
    pictures = save_pictures([audit_figure(audited, picked)], folder, "audit")
    return Section("Audit of the scores", lines, audit_table(audited, rows), pictures=pictures)


def _cost(study: Study, folder: Path) -> Section:
    pictures = save_pictures([trial_figures.timeline(study)], folder, "timeline")
    text = "The time of a resumed trial includes the pause."
    return Section("Time and memory", [text] if pictures else [], cost_table(study), pictures=pictures)


def _failures(study: Study) -> Section:
    table = failure_table(study)
    return Section("Failures", [] if table else ["None."], table)


def _commands(
    study: Study, chosen: Candidate | None, folder: Path, storage: str | None, next_command: NextCommand | None
) -> Section:
    lines = ["The first command opens the study in a browser (pip install optuna-dashboard)."]
    uri = str(folder / FILE) if storage is None else storage.removeprefix("journal:")
    if "://" in uri:
        uri = sqlalchemy.make_url(uri).render_as_string(hide_password=True)
    commands = [f"optuna-dashboard {shlex.quote(uri)}"]
    if next_command:
        lines.append(f"Run the second to {next_command.purpose}.")
        commands.append(next_command.text)
    if chosen:
        lines.append("The last one trains the chosen model again, to the chosen epoch.")
        commands.append(train_command(chosen.trial, str(folder / "best.yaml")))
    return Section("Next commands", [" ".join(lines)], commands=commands)

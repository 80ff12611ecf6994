"""The parts of a search's report in their order: what each says, its table and its picture."""

from __future__ import annotations

import io
import shlex
from typing import TYPE_CHECKING

import sqlalchemy

from gckd.cluster.trial import ORACLE
from gckd.report.html.page import Picture, Section, data_uri
from gckd.tune.best import caption, selector
from gckd.tune.report import cost as accounts
from gckd.tune.report import figures, parameter_figures, tables
from gckd.tune.report.importance import FEWEST, MOST, importance
from gckd.tune.storage import FILE
from gckd.tune.trial_table import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure
    from optuna import Study

    from gckd.tune.best import Candidate

_TOP = 10
_DOTS_PER_INCH = 144
_NOTHING = "Nothing to draw: no trial has told a value."
_SAMPLED = (
    "On the scale that was sampled, up to the worst value that can be read beside the others (far worse ones stand on "
    "the edge)."
)


def sections(study: Study, chosen: Candidate | None, folder: Path, storage: str | None) -> list[Section]:
    """All of them; writes a PNG for each picture into `folder`.

    Args:
        storage: see `gckd.tune.report.write_search_report`.
    """
    return [
        *_choice(study, chosen),
        Section("What was searched", table=tables.searched(study)),
        *_course(study, chosen, folder),
        *_hyperparameters(study, chosen, folder),
        _importance(study, folder),
        _audit(study, folder),
        Section(
            "Time and resources",
            table=accounts.resources(study),
            pictures=_png(figures.resources(study), folder, "resources"),
        ),
        _failures(study),
        _going_on(study, chosen, folder, storage),
    ]


def _choice(study: Study, chosen: Candidate | None) -> list[Section]:
    if chosen is None:
        return [Section("Chosen trial", ["None, and so no best.yaml: no trial has finished that could be chosen."])]
    lines = [f"Trial {chosen.trial.number}, the checkpoint of its epoch {chosen.epoch}. Its config is best.yaml."]
    test = study.user_attrs.get("best_test")
    if test and test["number"] == chosen.trial.number:
        values = f"Rank-1 {test['rank_1']:.1f} %, mAP {test['map']:.1f} %"
        lines.append(f"On the target's test split, which was read for it alone: {values}.")
    order = ["Finished trials, in the order of the choice."]
    if len(study.directions) > 1:
        order = ["The Pareto front: no other finished trial is better in one objective and as good in the rest."]
    elif selector(study) == "default":
        order.append("That is their mean rank; what the sampler is told is a gain, which may order them otherwise.")
    return [
        Section("Chosen trial", lines, tables.edits_of(study, chosen)),
        Section("Its scores", ["The higher, the better."], tables.scores_of(study, chosen)),
        Section("Best trials", [" ".join(order), caption(study)], tables.top(study, _TOP, scores=True)),
    ]


def _course(study: Study, chosen: Candidate | None, folder: Path) -> list[Section]:
    history = _png(figures.history(study, chosen), folder, "history")
    pareto = _png(figures.pareto(study, chosen), folder, "pareto")
    curves = _png(figures.by_epoch(study, chosen), folder, "epochs")
    text = "A trial's value is that of its selected epoch; of one stopped early, the last it told."
    if selector(study) == "default":
        text += " default: the mean over three scores of log(score / that of the source model)."
    found = [Section("History", [text] if history else [_NOTHING], pictures=history)]
    if pareto:
        found.append(Section("Objectives against each other", pictures=pareto))
    if curves:
        found.append(
            Section("Value by epoch", ["A line for each trial; far worse values are cut off."], pictures=curves)
        )
    return found


def _hyperparameters(study: Study, chosen: Candidate | None, folder: Path) -> list[Section]:
    each = _png(parameter_figures.against_score(study, chosen), folder, "parameters")
    parallel = _png(parameter_figures.parallel(study, chosen), folder, "parallel")
    if not each:
        return [Section("Hyperparameters", ["None to draw: no trial has one and has told a value."])]
    thick = "A line for each trial, coloured by its value; dotted: stopped early; thick and orange: chosen."
    return [
        Section("Each hyperparameter against the value", [_SAMPLED], pictures=each),
        Section("Hyperparameters in parallel", [thick], pictures=parallel),
    ]


def _importance(study: Study, folder: Path) -> Section:
    shares = [importance(study, place) for place in range(len(study.directions))]
    count = f"{shares[0].complete} finished and {shares[0].pruned} stopped early"
    picture = _png(parameter_figures.bars(study, shares), folder, "importance")
    if not picture:
        line = f"Not known: it needs {FEWEST} trials that told different values. This study has {count}."
        return Section("Importance", [line])
    lines = [
        f"Over the trials, {count}, which count with the last value they told. Shares sum to 1. fANOVA: of the "
        f"variance, over hyperparameters that every trial has, and {MOST} trials at most. PED-ANOVA: of what sets the "
        "best tenth apart. Hints, if trials are few."
    ]
    return Section("Importance", lines, pictures=picture)


def _audit(study: Study, folder: Path) -> Section:
    known, rows = accounts.audit_rows(study)
    if not rows:
        line = (
            "Not done: no finished trial's true Rank-1 is known. It reads the labels of the target's val split, after "
            "the search, and needs a target that has them; nothing else here depends on it."
        )
        return Section("Audit of the scores", [line])
    when = "" if selector(study) == ORACLE else ", which the audit read after the search"
    lines = [
        f"With target labels: the true Rank-1 of finished trials ({len(known)}) on the target's val split{when}. "
        "Correlations: of a score's order of the trials with the true one. Oracle regret: the best true Rank-1 less "
        "that of the trial a score picks, in percentage points. random: what a trial drawn at random is expected to "
        "have. Ringed: the trial a score picks."
    ]
    picked = {row.select: row.picked for row in rows if row.picked is not None}
    picture = _png(figures.audited(known, picked), folder, "audit")
    return Section("Audit of the scores", lines, accounts.audited(known, rows), pictures=picture)


def _failures(study: Study) -> Section:
    lost = accounts.failures(study)
    return Section("Failures", [] if lost else ["None."], lost)


def _going_on(study: Study, chosen: Candidate | None, folder: Path, storage: str | None) -> Section:
    lines = [
        "The first command (pip install optuna-dashboard) opens the study as it is. The second, with the options of "
        "this search and a larger number of trials in all, goes on with it."
    ]
    uri = str(folder / FILE) if storage is None else storage.removeprefix("journal:")
    if "://" in uri:
        uri = sqlalchemy.make_url(uri).render_as_string(hide_password=True)
    commands = [
        f"optuna-dashboard {shlex.quote(uri)}",
        f"python tune/search.py ... --study {shlex.quote(study.study_name)} --trials N",
    ]
    if chosen:
        lines.append("The third trains the chosen config from its start to its last step.")
        commands.append(f"gckd train --config {shlex.quote(str(folder / 'best.yaml'))}")
    return Section("How to go on", [" ".join(lines)], commands=commands)


def _png(figure: Figure | None, folder: Path, name: str) -> list[Picture]:
    """Writes the picture and returns it; empty where there is none, and an older file is taken away."""
    path = folder / f"{name}.png"
    if figure is None:
        path.unlink(missing_ok=True)
        return []
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH)
    write_whole(path, buffer.getvalue())
    return [Picture(data_uri(buffer.getvalue(), "png"))]

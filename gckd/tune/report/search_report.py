"""Report of a search from its study: trials.parquet, best.yaml, figures and report.html."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import optuna
from rich.table import Table

from gckd.report.html.page import Page
from gckd.storage import atomic
from gckd.tune.best import WITH_LABELS, best, caption, checkpoints, criterion, labels_used, warning, write_best
from gckd.tune.report.sections import sections
from gckd.tune.report.tables import best_trials_table
from gckd.tune.report.verdict_section import verdict_sections
from gckd.tune.trial_table import write_trials

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from optuna import Study
    from rich.console import Console

    from gckd.report.html.page import Section
    from gckd.tune.best import Candidate
    from gckd.tune.options import NextCommand
    from gckd.tune.verdict import Verdict

_PRINTED_TRIALS = 5


def write_search_report(
    study: Study,
    folder: Path,
    console: Console,
    *,
    storage: str | None = None,
    verdict: Verdict | None = None,
    next_command: NextCommand | None = None,
) -> Candidate | None:
    """Writes trials.parquet, best.yaml, each figure as PNG, SVG and PDF, and report.html, and prints the best trials.

    report.html is self-contained: no script, no address, and the figures are inside.

    Args:
        folder: the files of an earlier report are replaced.
        verdict: of the confirmation; None: there was none.
        next_command: command to propose.
        storage: value of --storage, for the command that opens the study; a password in it is left out.

    Returns:
        the chosen trial; None, and no best.yaml, if no trial has finished.

    Raises:
        ConfigError: the study is from a version of the code with other config fields.
    """
    study = _snapshot(study)
    write_trials(study, folder / "trials.parquet")
    write_best(study, folder)
    chosen = best(study)
    parts = [*verdict_sections(verdict, chosen), *sections(study, chosen, folder, storage, next_command)]
    atomic.write(folder / "report.html", _page(study, verdict, parts))
    _print(study, chosen, console)
    for line in verdict.sentences() if verdict else ():
        console.print(line, style="bold", highlight=False, markup=False, soft_wrap=True)
    if next_command:
        line = f"To {next_command.purpose}: {next_command.text}"
        console.print(line, style="dim", highlight=False, markup=False, soft_wrap=True)
    return chosen


class _Snapshot(optuna.Study):
    """Study whose `user_attrs` are not copied at each access: the report reads them for every trial, and the audit adds
    one for every trial."""

    @property
    def user_attrs(self) -> dict[str, Any]:
        return self._storage.get_study_user_attrs(self._study_id)


def _snapshot(study: Study) -> Study:
    """A copy in memory with all trials as of now, as another search may be writing to the study."""
    made = optuna.create_study(study_name=study.study_name, directions=study.directions)
    copy = _Snapshot(made.study_name, made._storage)
    for key, value in study.user_attrs.items():
        copy.set_user_attr(key, value)
    copy.add_trials(study.get_trials(deepcopy=False))
    return copy


def _page(study: Study, verdict: Verdict | None, parts: Sequence[Section]) -> str:
    """The page; its headline is the verdict."""
    mark = WITH_LABELS if labels_used(study) == WITH_LABELS else ""
    headline = next(iter(verdict.sentences()), "") if verdict else ""
    return Page(f"Search {study.study_name}", caption(study), parts, headline, alert=bool(mark), warning=mark).text()


def _print(study: Study, chosen: Candidate | None, console: Console) -> None:
    if chosen is None:
        console.print("No trial has finished, so none was chosen.")
        return
    best_trials = best_trials_table(study, _PRINTED_TRIALS, scores=False)
    table = Table(caption=labels_used(study), caption_justify="left")
    for name in best_trials.head:
        table.add_column(name, justify="right")
    for place, line in enumerate(best_trials.body):
        table.add_row(*line, style="bold" if place == best_trials.highlighted_row else None)
    console.print(table)
    choice = f"Chosen: trial {chosen.trial.number}, epoch {chosen.epoch}. It is the best finished trial by"
    if below := warning(study):
        console.print(below, style="yellow", highlight=False, markup=False, soft_wrap=True)
    console.print(f"{choice} {criterion(study)}.", highlight=False, markup=False, soft_wrap=True)
    for path in checkpoints(chosen):
        console.print(f"Checkpoint: {path}", highlight=False, markup=False, soft_wrap=True)
    console.print(caption(study), style="dim", highlight=False, markup=False)

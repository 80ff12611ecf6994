"""What comes out of a search, all of it from its study: trials.parquet, best.yaml, pictures and report.html."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import optuna
from rich.table import Table

from gckd.report.html.page import Page
from gckd.tune.best import WITH_LABELS, best, caption, labels_used, write_best
from gckd.tune.report.sections import sections
from gckd.tune.report.tables import top
from gckd.tune.trial_table import write_trials, write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from optuna import Study
    from rich.console import Console

    from gckd.report.html.page import Section
    from gckd.tune.best import Candidate

_TOP = 5


def write_search_report(
    study: Study, folder: Path, console: Console, *, storage: str | None = None
) -> Candidate | None:
    """Writes trials.parquet, best.yaml, a PNG for each picture and report.html, and prints the best trials.

    report.html is one file that needs nothing beside it: no script, no address, the pictures inside.

    Args:
        folder: where to; the files of an older report are replaced.
        storage: as --storage was given, for the line that opens the study; a password in it is left out.

    Returns:
        the chosen trial; None where there is none, and then there is no best.yaml.

    Raises:
        ConfigError: the study was made by code whose config had other fields.
    """
    study = _snapshot(study)
    write_trials(study, folder / "trials.parquet")
    write_best(study, folder)
    chosen = best(study)
    write_whole(folder / "report.html", _page(study, sections(study, chosen, folder, storage)).encode())
    _print(study, chosen, console)
    return chosen


class _Snapshot(optuna.Study):
    """A study whose attributes are not copied each time they are read: the report reads them for every trial, and the
    audit has left one a trial there."""

    @property
    def user_attrs(self) -> dict[str, Any]:
        return self._storage.get_study_user_attrs(self._study_id)


def _snapshot(study: Study) -> Study:
    """In memory, all trials read at once: another search may be writing to this study."""
    made = optuna.create_study(study_name=study.study_name, directions=study.directions)
    copy = _Snapshot(made.study_name, made._storage)
    for key, value in study.user_attrs.items():
        copy.set_user_attr(key, value)
    copy.add_trials(study.get_trials(deepcopy=False))
    return copy


def _page(study: Study, parts: Sequence[Section]) -> str:
    mark = WITH_LABELS if labels_used(study) == WITH_LABELS else ""
    return Page(f"Search {study.study_name}", caption(study), parts, alert=bool(mark), warning=mark).text()


def _print(study: Study, chosen: Candidate | None, console: Console) -> None:
    if chosen is None:
        console.print("No trial has finished that could be chosen.")
        return
    found = top(study, _TOP, scores=False)
    table = Table(caption=labels_used(study), caption_justify="left")
    for name in found.head:
        table.add_column(name, justify="right")
    for place, line in enumerate(found.body):
        table.add_row(*line, style="bold" if place == found.highlighted_row else None)
    console.print(table)
    console.print(f"Chosen: trial {chosen.trial.number}, epoch {chosen.epoch}.", highlight=False)
    console.print(caption(study), style="dim", highlight=False, markup=False)

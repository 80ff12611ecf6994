"""report.html of a component table."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gckd.report.finding import headline
from gckd.report.html.examples import examples
from gckd.report.html.page import Page
from gckd.report.html.pictures import curves, figures
from gckd.report.html.sections import changes, failures, provenance, results, runs, setup, time
from gckd.storage import atomic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from gckd.report.html.page import Section
    from gckd.report.small_table import SmallTable
    from gckd.report.subtable import Subtable
    from gckd.report.summary import RowSummary


def write_table_page(
    out: Path,
    subtables: Sequence[Subtable],
    rows: Sequence[RowSummary],
    caption: Sequence[str],
    warnings: Sequence[str],
    small_tables: Sequence[SmallTable],
) -> None:
    """Writes report.html into `out`: one file with all pictures embedded, without scripts and links to other files.

    It includes what the folders of the subtables have in figures/, examples.parquet and launches.json.

    Args:
        out: output folder.
        subtables: all of the table.
        rows: of all subtables.
        caption: lines below the table.
        warnings: section below the table.
        small_tables: sections below the warnings.
    """
    given = [question for subtable in subtables for question in subtable.questions]
    questions = list(dict.fromkeys(line for q in given for line in (q.question, q.mark) if line))
    notes = [line for line in caption if line not in questions]
    sections = [
        *results(rows, notes, warnings, small_tables),
        *(section for s in subtables for section in _with_name(failures(s), s.name)),
        *(section for s in subtables for section in _with_name(_sections(s), s.name)),
    ]
    datasets = "; ".join(dict.fromkeys(subtable.datasets for subtable in subtables))
    title = f"Component table, {datasets}"
    failed, lead = _lead(subtables, rows)
    page = Page(title, lead, sections, headline(rows), " ".join(questions), alert=failed)
    atomic.write(out / "report.html", page.text())


def _sections(subtable: Subtable) -> Iterator[Section]:
    for from_folder in (figures, examples):
        for folder in subtable.folders:
            yield from _with_name(from_folder(folder), folder.name if len(subtable.folders) > 1 else "")
    yield from (
        *curves(subtable.curves),
        *changes(subtable),
        setup(subtable),
        runs(subtable),
        time(subtable),
        *provenance(subtable),
    )


def _with_name(sections: Iterable[Section], name: str) -> Iterator[Section]:
    """The sections with the name of their subtable or folder in the title; unchanged without a name."""
    for section in sections:
        yield dataclasses.replace(section, title=f"{section.title}: {name}") if name else section


def _lead(subtables: Sequence[Subtable], rows: Sequence[RowSummary]) -> tuple[bool, str]:
    """Whether runs failed; the rows and the number of finished and failed runs in words."""
    count, failed = sum(len(subtable.records) for subtable in subtables), sum(row.failed for row in rows)
    names = list(dict.fromkeys(row.row for row in rows))
    listed = f"{len(names)} row{'s' if len(names) > 1 else ''}: {', '.join(names)}."
    ending = f"{failed} of {count} runs failed" if failed else f"All {count} runs finished" if count > 1 else "Finished"
    return failed > 0, f"{listed} {ending}."

"""Report of a component table: tables, figures and report.html of one output folder or several."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from gckd.errors import InputError
from gckd.printable import printable, shortened
from gckd.report.captions import captions
from gckd.report.checks import CHECKS, CheckInput
from gckd.report.comparability import MIXED_HINT
from gckd.report.component_table import to_csv, to_markdown
from gckd.report.curves import draw_curves, end_points_table
from gckd.report.finding import finding
from gckd.report.grid import Grid
from gckd.report.html.table_page import write_table_page
from gckd.report.interval_tables import interval_tables
from gckd.report.latex import escape, label_of
from gckd.report.latex_table import Title, compact_latex, full_latex
from gckd.report.reference_rows import reads_target_labels
from gckd.report.row_configs import row_configs
from gckd.report.screen_table import to_screen
from gckd.report.setup_paragraph import setup_paragraph
from gckd.report.shapley import shapley_table
from gckd.report.subtable import Subtable, join_subtables, mismatch_lines, read_output_curves, read_subtable
from gckd.report.warnings import failure_warnings, grouped, label_use_notes
from gckd.storage import atomic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.console import Console

    from gckd.report.small_table import SmallTable
    from gckd.report.summary import Record, RowSummary
    from gckd.report.warnings import FailureWarning

_ERROR = 160  # characters of a failed run's error on the console


def write_report(folder: Path, console: Console, *, mixed: bool = False) -> list[RowSummary]:
    """Writes the report of one output folder there, and prints its table: see `make_report`."""
    return make_report([folder], console, out=folder, mixed=mixed)


def make_report(
    folders: Sequence[Path], console: Console, *, out: Path | None, mixed: bool = False
) -> list[RowSummary]:
    """Writes the report of the runs of `folders`; prints the table, its finding, warnings and the path of the report.

    The files are report.html, table.md, table.csv, those of `_write_latex`, and curves.png, .svg and .pdf. Folders
    with the same full config and datasets are joined; other folders are subtables of their own.

    Args:
        folders: output folders.
        console: where the table is printed.
        out: None: nothing is written. curves.png is written for a single subtable only.
        mixed: whether the table may have runs of other code, plugins, data, budget or full config, marked with †.

    Raises:
        InputError: a folder has no run records or no config.yaml, they cannot be read, or the runs cannot be compared.
    """
    subtables = join_subtables([read_subtable(folder) for folder in folders], mixed=mixed)
    mismatches = mismatch_lines(subtables)
    if mismatches and not mixed:
        names = ", ".join(map(str, folders))
        raise InputError(f"{names}: the runs differ in {'; in '.join(mismatches)}; {MIXED_HINT}")
    rows = [row for subtable in subtables for row in subtable.summaries()]
    warnings = _warnings(subtables)
    caption, small_tables = captions(subtables, rows), list(_small_tables(subtables, rows))
    if out:  # before anything is printed: a console may fail
        lines = [*caption, *warnings]
        text = "\n".join([to_markdown(rows, lines), *(table.to_markdown() for table in small_tables)])
        atomic.write(out / "table.md", text)
        atomic.write(out / "table.csv", to_csv(rows))
        _write_latex(subtables, rows, [*caption, *_label_uses(subtables)], out)
        if len(subtables) == 1:
            draw_curves(subtables[0].curves, out)
            _write_checks(subtables[0], out)
        write_table_page(out, subtables, rows, caption, warnings, small_tables)
    console.print(to_screen(rows, console.width))
    for line in _findings(subtables, rows):
        console.print(printable(line), highlight=False, markup=False)
    for line in _screen_warnings(subtables):
        console.print(printable(f"warning: {line}"), style="yellow", highlight=False, markup=False)
    if out:
        console.print(f"report: {out / 'report.html'}", highlight=False, markup=False, soft_wrap=True)
    return rows


def _write_latex(subtables: Sequence[Subtable], rows: Sequence[RowSummary], notes: Sequence[str], out: Path) -> None:
    """Writes table.tex, table_full.tex and setup.tex; grid.tex for several pairs of datasets.

    Args:
        notes: below the tables, without signs of failure and their remedies, which are no text for a paper.
    """
    datasets = "; ".join(dict.fromkeys(subtable.datasets for subtable in subtables))
    names = dict.fromkeys(name.rpartition("/")[2] for subtable in subtables for name in _pair(subtable))
    title = Title(f"Component ablation on {datasets}, in percent.", label_of(f"ablation {' '.join(names)}"))
    atomic.write(out / "table.tex", compact_latex(rows, title, notes))
    atomic.write(out / "table_full.tex", full_latex(rows, title, notes))
    paragraphs = [escape(setup_paragraph(subtable)) for subtable in subtables]
    atomic.write(out / "setup.tex", "\n\n".join(paragraphs) + "\n")
    pairs = {_pair(s): [row for row in rows if row.subtable == s.name] for s in subtables}
    grid = Grid.of(pairs) if len(pairs) == len(subtables) else None
    if grid:
        atomic.write(out / "grid.tex", grid.to_latex())


def _pair(subtable: Subtable) -> tuple[str, str]:
    return str(subtable.records[0]["source"]), str(subtable.records[0]["target"])


def show_curves(folder: Path, console: Console) -> None:
    """Prints the first and last point of every curve of `folder`.

    Raises:
        InputError: `folder` has no curves.
    """
    console.print(end_points_table(read_output_curves(folder)))


def _findings(subtables: Sequence[Subtable], rows: Sequence[RowSummary]) -> Iterator[str]:
    """The finding of each subtable, with its name if there are several."""
    for subtable in subtables:
        yield _with_name(subtable, finding([row for row in rows if row.subtable == subtable.name]))


def _warnings(subtables: Sequence[Subtable]) -> list[str]:
    """Curves that read labels, and signs of failure in the curves, for the report."""
    failures = [_with_name(subtable, str(line)) for subtable in subtables for line in _failure_warnings(subtable)]
    return [*_label_uses(subtables), *failures]


def _label_uses(subtables: Sequence[Subtable]) -> list[str]:
    """Curves that read target labels."""
    return [_with_name(subtable, line) for subtable in subtables for line in label_use_notes(subtable.curves)]


def _screen_warnings(subtables: Sequence[Subtable]) -> Iterator[str]:
    """Changes of the spec, failed runs, mismatches, and the signs of failure in groups, for the console."""
    yield from dict.fromkeys(q.mark for subtable in subtables for q in subtable.questions if q.mark)
    for subtable in subtables:
        failed = [record for record in subtable.records if record["status"] != "done"]
        if failed:
            error = shortened(str(failed[0].get("error") or "an unknown error"), _ERROR)
            count = f"{len(failed)} of {len(subtable.records)} runs failed"
            rows = ", ".join(dict.fromkeys(str(record["row"]) for record in failed))
            yield _with_name(subtable, f"{count} ({rows}), the first with {error}; see error.txt in its folder")
        for line in (*label_use_notes(subtable.curves), *grouped(_failure_warnings(subtable))):
            yield _with_name(subtable, line)
    yield from (f"the runs differ in {line}" for line in mismatch_lines(subtables))


def _failure_warnings(subtable: Subtable) -> list[FailureWarning]:
    return failure_warnings(subtable.curves, row_configs(subtable.records, subtable.config))


def _with_name(subtable: Subtable, line: str) -> str:
    return f"{subtable.name}: {line}" if subtable.name else line


def _write_checks(subtable: Subtable, out: Path) -> None:
    """Writes the figures of the checks in the questions, with their sentences.

    Rows that train with target labels are left out: the checks are about the method. A tuned rate is no edit to them.
    """
    names = dict.fromkeys(name for question in subtable.questions for name in question.checks)
    records = [_as_configured(record, subtable) for record in subtable.records if not reads_target_labels(record)]
    given = CheckInput(records, subtable.curves, subtable.config, out)
    for result in (result for name in names if name in CHECKS for result in CHECKS[name](given)):
        result.write(out)


def _as_configured(record: Record, subtable: Subtable) -> Record:
    """The record of a tuned row with the edits of its row; other records unchanged."""
    rate = subtable.rates.get(record["row"])
    if rate is None:
        return record
    edits = json.loads(record["edits"]) | {"adapt.lr": rate.configured}
    if rate.configured == subtable.config.adapt.lr:
        del edits["adapt.lr"]
    return {**record, "edits": json.dumps(edits)}


def _small_tables(subtables: Sequence[Subtable], rows: Sequence[RowSummary]) -> Iterator[SmallTable]:
    yield from interval_tables(rows)
    for subtable in subtables:
        for question in subtable.questions:
            table = shapley_table(subtable.records, question.dropped) if question.dropped else None
            if table and subtable.name:
                yield dataclasses.replace(table, caption=f"{subtable.name}: {table.caption}")
            elif table:
                yield table

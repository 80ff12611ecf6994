"""Component table in LaTeX, for the package booktabs: a compact variant for a paper, and one with every column."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gckd.report.captions import is_essential
from gckd.report.component_table import cells, header, heading_above
from gckd.report.finding import BOLD_NOTE, supported_best
from gckd.report.latex import escape, table_float
from gckd.report.row_names import paper_name
from gckd.report.summary import DIFFERENCES, METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gckd.report.summary import RowSummary

_COMPACT = ("row", "Rank-1", "mAP", "Δ Rank-1", "p")
_PLUS_MINUS = re.compile(r" ± (.*)")


@dataclass(frozen=True)
class Title:
    """Caption and label of the LaTeX tables of one report. label: without the prefix `tab:`."""

    caption: str
    label: str


def compact_latex(rows: Sequence[RowSummary], title: Title, notes: Sequence[str]) -> str:
    """Rank-1, mAP and the difference in Rank-1 with its p; below, the notes that the numbers depend on most.

    Rows have the names of a paper. A mean is bold where the test supports that its row is best.

    Args:
        notes: lines of the caption.
    """
    body = cells(rows)
    named = [place for place, name in enumerate(_short_header(rows)) if name in _COMPACT][: len(_COMPACT)]
    columns = [place for place in named if any(line[place] for line in body)]
    return _latex(rows, title, [note for note in notes if is_essential(note)], columns)


def full_latex(rows: Sequence[RowSummary], title: Title, notes: Sequence[str]) -> str:
    """Every column that is not empty, over the width of the page, and every note."""
    body = cells(rows)
    columns = [place for place in range(len(header(rows))) if any(line[place] for line in body)]
    full = Title(title.caption, f"{title.label}-full")
    return _latex(rows, full, notes, columns, wide=True)


def _short_header(rows: Sequence[RowSummary]) -> list[str]:
    return [name.replace(" (full - row)", "") for name in header(rows)]


def _latex(
    rows: Sequence[RowSummary], title: Title, notes: Sequence[str], columns: Sequence[int], *, wide: bool = False
) -> str:
    body = [[_cell(text) for text in line] for line in cells(rows)]
    names = _short_header(rows)
    for subtable in dict.fromkeys(row.subtable for row in rows):
        for metric in DIFFERENCES:
            best, column = supported_best(rows, subtable, metric), names.index(METRICS[metric])
            if best is not None:
                mean, mark, spread = body[best][column].partition(" {")
                body[best][column] = rf"\textbf{{{mean}}}{mark}{spread}"
    lines: list[str] = []
    for place, row in enumerate(rows):
        if heading := heading_above(rows, place):
            lines += [r"\midrule"] if lines else []
            lines.append(rf"\multicolumn{{{len(columns)}}}{{l}}{{\emph{{{escape(heading)}}}}} \\")
        body[place][0] = escape(row.label.replace(row.row, paper_name(row.row), 1))
        lines.append(" & ".join(body[place][column] for column in columns) + r" \\")
    head = " & ".join("Method" if names[c] == "row" else _head(names[c]) for c in columns) + r" \\"
    tabular = [
        rf"\begin{{tabular}}{{@{{}}l{'r' * (len(columns) - 1)}@{{}}}}",
        *(r"\toprule", head, r"\midrule", *lines, r"\bottomrule"),
        r"\end{tabular}",
    ]
    bold = [BOLD_NOTE] if any(r"\textbf" in line for line in lines) else []
    return table_float(tabular, title.caption, title.label, [*bold, *notes], wide=wide)


def _head(name: str) -> str:
    return "$p$" if name == "p" else escape(name)


def _cell(text: str) -> str:
    """A cell; the half width of an interval is small, and left out where one seed has none."""
    if text.endswith(" ± n/a"):
        text = text.removesuffix(" ± n/a")
    if text.startswith("< "):
        return f"$<${text.removeprefix('< ')}"
    mean, mark, spread = text.partition(" ± ")
    number = f"${mean[0]}${mean[1:]}" if mean[:1] in ("+", "-") else mean
    return rf"{number} {{\scriptsize $\pm$ {spread}}}" if mark else number if number != mean else escape(text)

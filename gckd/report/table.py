"""Row summaries -> the component table on the screen, in Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from rich.table import Table
from tabulate import tabulate

from gckd.report.summary import DIFFERENCES, METRICS, RowSummary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gckd.report.statistics import Estimate

_FIRST_METRIC = 2  # column, behind row and runs
_LATEX = {
    "<": "$<$",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "→": r"$\rightarrow$",
    "%": r"\%",
    "_": r"\_",
    "&": r"\&",
    "#": r"\#",
}


def header(rows: Sequence[RowSummary]) -> list[str]:
    differences = [head for name in DIFFERENCES for head in (f"Δ {METRICS[name]} (full - row)", "p")]
    published = ["published Rank-1"] if _any_published(rows) else []
    return ["row", "runs", *METRICS.values(), *differences, *published]


def cells(rows: Sequence[RowSummary]) -> list[list[str]]:
    """The table's body as text, one list a row."""
    return [_cells(row, _any_published(rows)) for row in rows]


def screen(rows: Sequence[RowSummary]) -> Table:
    table = Table()
    for name in header(rows):
        table.add_column(name, justify="left" if name == "row" else "right")
    for line in cells(rows):
        table.add_row(*line)
    return table


def markdown(rows: Sequence[RowSummary], caption: Sequence[str]) -> str:
    table = tabulate(cells(rows), header(rows), tablefmt="pipe", disable_numparse=True, colalign=_align(rows))
    return f"{table}\n\n" + "\n".join(f"{line}  " for line in caption).rstrip() + "\n"


def latex(rows: Sequence[RowSummary], caption: Sequence[str]) -> str:
    """For booktabs: of each metric the best mean in bold and the second underlined."""
    body = [[_latex(cell) for cell in line] for line in cells(rows)]
    for name, column in zip(METRICS, range(_FIRST_METRIC, _FIRST_METRIC + len(METRICS)), strict=True):
        for mark, place in zip((r"\textbf", r"\underline"), _best(rows, name), strict=False):
            body[place][column] = f"{mark}{{{body[place][column]}}}"
    names = [_latex(name) for name in header(rows)]
    table = tabulate(body, names, tablefmt="latex_raw", disable_numparse=True, colalign=_align(rows))
    for rule in ("toprule", "midrule", "bottomrule"):
        table = table.replace(r"\hline", "\\" + rule, 1)
    text = " ".join(_latex(line) for line in caption)
    return f"\\begin{{table}}\n\\centering\n{table}\n\\caption{{{text}}}\n\\end{{table}}\n"


def comma_separated(rows: Sequence[RowSummary]) -> str:
    """Plain numbers, for a program: mean and half width in columns of their own, empty where there is none."""
    keys = [*METRICS, *(f"full_minus_row_{name}" for name in DIFFERENCES)]
    tests = [f"p_{name}" for name in DIFFERENCES]
    published = ["published_rank_1"] if _any_published(rows) else []
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    ends = ("", "_half_width")
    writer.writerow(["row", "runs", "failed", *(f"{k}{end}" for k in keys for end in ends), *tests, *published])
    for row in rows:
        found = [*(row.metrics.get(name) for name in METRICS), *(row.to_full.get(name) for name in DIFFERENCES)]
        numbers = [number for e in found for number in ((e.mean, e.half_width) if e else (None, None))]
        tail = [*(row.p.get(name) for name in DIFFERENCES), *([row.published] if published else [])]
        writer.writerow([row.row, len(row.seeds), row.failed, *map(_number, [*numbers, *tail])])
    return file.getvalue()


def _cells(row: RowSummary, with_published: bool) -> list[str]:
    metrics = [_estimate(row.metrics.get(name), "{:.1f}") for name in METRICS]
    differences = [
        cell for name in DIFFERENCES for cell in (_estimate(row.to_full.get(name), "{:+.1f}"), _p(row.p.get(name)))
    ]
    published = ["" if row.published is None else f"{row.published:g}"] if with_published else []
    return [row.row, row.runs, *metrics, *differences, *published]


def _estimate(value: Estimate | None, form: str) -> str:
    if value is None:
        return ""
    spread = "n/a" if value.half_width is None else f"{value.half_width:.1f}"
    return f"{form.format(value.mean)} ± {spread}"


def _best(rows: Sequence[RowSummary], metric: str) -> list[int]:
    """Places of the rows that have the metric, the best first; none where there is nothing to compare."""
    found = [place for place, row in enumerate(rows) if metric in row.metrics]
    return sorted(found, key=lambda place: -rows[place].metrics[metric].mean) if len(found) > 1 else []


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _any_published(rows: Sequence[RowSummary]) -> bool:
    return any(row.published is not None for row in rows)


def _align(rows: Sequence[RowSummary]) -> list[str]:
    return ["left", *["right"] * (len(header(rows)) - 1)]


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)

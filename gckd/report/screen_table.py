"""Component table on the console. Columns are left out where the console is too narrow; no number is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from gckd.report.component_table import GAP_CLOSED, PUBLISHED, TUNED, cells, header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gckd.report.summary import RowSummary

_DIFFERENCE = " (full - row)"
_MIN_NAME = 12  # characters of a row's name in a line; longer names are folded
# Left out one after the other until the rest fits. The p after a difference goes with it.
_LEAST_NEEDED = ("Rank-10", "Rank-5", "mINP", "runs", "Δ mAP", PUBLISHED, "mAP", GAP_CLOSED, TUNED)
_KEY, _KEY_OF_P = "±: 95 % interval over seeds.  Δ: full - row, paired by seed.", "  p: Holm-corrected."


@dataclass(frozen=True)
class _Column:
    """A column: its name, the head on the console, its cells, and the column it belongs to (a p to its difference)."""

    name: str
    head: str
    texts: Sequence[str]
    owner: str

    @property
    def width(self) -> int:
        """Characters of its widest cell or line of the head, with the frame."""
        return max(cell_len(text) for text in (*self.head.split("\n"), *self.texts)) + 3


def to_screen(rows: Sequence[RowSummary], width: int) -> Group:
    """One console table for each subtable, titled with its name, and a line with the meaning of the symbols.

    Columns that are empty in every row, or do not fit, are left out; the line names the latter.

    Args:
        rows: of all subtables.
        width: characters of a line of the console.
    """
    columns = _columns(rows)
    shown, left_out = _fitting(columns, width)
    tables = {row.subtable: Table(title=row.subtable or None, title_justify="left", title_style="bold") for row in rows}
    for table in tables.values():
        for column in shown:
            is_name = column.name == "row"
            table.add_column(column.head, justify="left" if is_name else "right", overflow="fold", no_wrap=not is_name)
    for place, row in enumerate(rows):
        tables[row.subtable].add_row(*(Text(column.texts[place]) for column in shown))
    key = _KEY + _KEY_OF_P * any(column.name == "p" for column in shown)
    lines = [key] if any(row.to_full for row in rows) else []
    if left_out:
        lines.append(f"Columns left out at {width} characters: {', '.join(left_out)}. A wider console shows them.")
    return Group(*tables.values(), *(Text(line, style="dim") for line in lines))


def _columns(rows: Sequence[RowSummary]) -> list[_Column]:
    """The columns that are not empty."""
    columns, owner = [], ""
    for name, texts in zip(header(rows), zip(*cells(rows), strict=True), strict=True):
        owner = owner if name == "p" else name.removesuffix(_DIFFERENCE)
        head = name.replace(_DIFFERENCE, f"\n{_DIFFERENCE.strip(' ()')}")
        if any(texts):
            columns.append(_Column(name, head, texts, owner))
    return columns


def _fitting(columns: Sequence[_Column], width: int) -> tuple[list[_Column], list[str]]:
    """The columns that fit into the width, and the names of the others."""
    shown, left_out = list(columns), []
    for name in _LEAST_NEEDED:
        name_width = min(shown[0].width, _MIN_NAME + 3)
        if name_width + sum(column.width for column in shown[1:]) + 1 <= width:
            break
        if any(column.owner == name for column in shown):
            shown = [column for column in shown if column.owner != name]
            left_out.append(name)
    return shown, left_out

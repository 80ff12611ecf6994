"""Cross-dataset grid: Rank-1 of full, and its gain over the source model, for each source and target dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tabulate import tabulate

from gckd.report.finding import BETTER, METRIC, verdict
from gckd.report.latex import escape, table_float
from gckd.report.reference_rows import SOURCE_MODEL
from gckd.report.summary import FULL, METRICS

if TYPE_CHECKING:
    from gckd.report.summary import RowSummary

Pair = tuple[str, str]  # names of the source and the target dataset
_NONE = "-"


@dataclass(frozen=True)
class Grid:
    """cells: pair -> Rank-1 of full, gain over the source model, and whether the test supports that gain."""

    sources: Sequence[str]
    targets: Sequence[str]
    cells: Mapping[Pair, tuple[float, float | None, bool]]

    @staticmethod
    def of(rows: Mapping[Pair, Sequence[RowSummary]]) -> Grid | None:
        """Grid of the rows of each pair; None for fewer than two pairs.

        Args:
            rows: of one subtable per pair.
        """
        sources, targets = (list(dict.fromkeys(pair[place] for pair in rows)) for place in (0, 1))
        if len(rows) < 2:
            return None
        return Grid(sources, targets, {pair: cell for pair, line in rows.items() if (cell := _cell(line))})

    @property
    def caption(self) -> str:
        """Meaning of the cells."""
        return (
            f"{METRICS[METRIC]} of the full method for each source (rows) and target (columns), with its gain over the "
            "source model."
        )

    def to_markdown(self) -> str:
        """The grid and its caption. A gain that the test supports has a star."""
        body = [[source, *(self._text(source, target, "*") for target in self.targets)] for source in self.sources]
        table = tabulate(body, ["source \\ target", *self.targets], tablefmt="pipe", disable_numparse=True)
        return f"{table}\n\n{self.caption} *: p below 0.05.\n"

    def to_latex(self) -> str:
        """The grid for booktabs; a gain that the test supports makes its number bold."""
        lines = [
            " & ".join([escape(source), *(self._latex(source, target) for target in self.targets)]) + r" \\"
            for source in self.sources
        ]
        head = " & ".join([r"Source $\backslash$ target", *map(escape, self.targets)]) + r" \\"
        tabular = [rf"\begin{{tabular}}{{l{'c' * len(self.targets)}}}", r"\toprule", head, r"\midrule", *lines]
        tabular += [r"\bottomrule", r"\end{tabular}"]
        notes = ["In parentheses: gain over the source model, in points.", "Bold: the paired test supports the gain."]
        return table_float(tabular, self.caption, "cross-dataset", notes)

    def _text(self, source: str, target: str, star: str) -> str:
        cell = self.cells.get((source, target))
        if cell is None:
            return _NONE
        value, gain, supported = cell
        return f"{value:.1f}" + ("" if gain is None else f" ({gain:+z.1f}{star * supported})")

    def _latex(self, source: str, target: str) -> str:
        text = self._text(source, target, "")
        supported = self.cells.get((source, target), (0.0, None, False))[2]
        number, space, gain = text.partition(" ")
        math = gain.replace("-", "$-$").replace("+", "$+$")
        if text == _NONE:
            return "--"
        return (rf"\textbf{{{number}}}" if supported else number) + space + math


def _cell(rows: Sequence[RowSummary]) -> tuple[float, float | None, bool] | None:
    full = next((row for row in rows if row.row == FULL and METRIC in row.metrics), None)
    if full is None:
        return None
    source = next((row for row in rows if row.row == SOURCE_MODEL), None)
    gain = source.to_full.get(METRIC) if source else None
    return full.metrics[METRIC].mean, gain.mean if gain else None, bool(source and verdict(source) == BETTER)

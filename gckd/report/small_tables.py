"""Small tables below the component table: what its numbers would be with other seeds or other queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table
from tabulate import tabulate

from gckd.report.statistics import FEWEST, OF_QUERIES, OF_SEEDS
from gckd.report.summary import DIFFERENCES, METRICS, RowSummary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gckd.report.statistics import Estimate, Interval

_BOTH = [METRICS[name] for name in DIFFERENCES]
_GAINS = [f"Δ {name}" for name in _BOTH]
_OVER_SEEDS = (
    f"Over seeds. SD: sample standard deviation. In brackets: 95 % bootstrap interval of the mean (percentiles of "
    f"{OF_SEEDS:,} resamples, from {FEWEST} seeds on). It is too narrow for few seeds: with normal noise it holds the "
    "true mean in 75 % of cases with 3 seeds, 84 % with 5 and 90 % with 10. The ± above is the one to quote."
)
_OVER_QUERIES = (
    "Over queries. 95 % bootstrap interval over the persons that the queries describe, each drawn with all of its "
    f"captions (percentiles of {OF_QUERIES:,} resamples, the same in every row). The runs are as they are: it says how "
    "far other queries would move a number, and nothing of other seeds."
)


@dataclass(frozen=True)
class Aside:
    """A small table: its text as it is printed and written."""

    title: str
    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    caption: str

    def screen(self) -> Table:
        table = Table(caption=self.caption, caption_justify="left")
        for name in self.header:
            table.add_column(name, overflow="fold")
        for line in self.lines:
            table.add_row(*line)
        return table

    def markdown(self) -> str:
        return f"{tabulate(self.lines, self.header, tablefmt='pipe', disable_numparse=True)}\n\n{self.caption}\n"


def asides(rows: Sequence[RowSummary]) -> Iterator[Aside]:
    """Those that the rows have numbers for."""
    own = [head for name in _BOTH for head in (f"{name} SD", name)]
    queries = [[written(e.over_queries) if e else "" for e in _found(row)] for row in rows]
    for title, lines, head, caption in (
        ("Over seeds", [_seeds(row) for row in rows], [*own, *_GAINS], _OVER_SEEDS),
        ("Over queries", queries, [*_BOTH, *_GAINS], _OVER_QUERIES),
    ):
        if any(map(any, lines)):
            blocks = ["block"] if any(row.block for row in rows) else []
            names = [[row.block, row.label] if blocks else [row.label] for row in rows]
            body = [[*name, *line] for name, line in zip(names, lines, strict=True)]
            yield Aside(title, [*blocks, "row", *head], body, caption)


def written(interval: Interval | None) -> str:
    """`[69.1, 70.4]`."""
    return "" if interval is None else f"[{interval.low:.1f}, {interval.high:.1f}]"


def _found(row: RowSummary) -> list[Estimate | None]:
    return [*(row.metrics.get(name) for name in DIFFERENCES), *(row.to_full.get(name) for name in DIFFERENCES)]


def _seeds(row: RowSummary) -> list[str]:
    intervals = [written(e.over_seeds) if e else "" for e in _found(row)]
    spread = [row.metrics[name].deviation if name in row.metrics else None for name in DIFFERENCES]
    deviations = ["" if value is None else f"{value:.1f}" for value in spread]
    count = len(DIFFERENCES)
    own = [cell for pair in zip(deviations, intervals[:count], strict=True) for cell in pair]
    return [*own, *intervals[count:]]

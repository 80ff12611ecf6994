"""Gains of the full method over each row, across subtables: other datasets, shifts or full configs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from tabulate import tabulate

from gckd.report.figure_files import save_figure
from gckd.report.grid import Grid, Pair
from gckd.report.reference_rows import SOURCE_MODEL, SUPERVISED
from gckd.report.summary import DIFFERENCES, FULL, METRICS, RowSummary
from gckd.storage import atomic

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from rich.console import Console

    from gckd.report.statistics import Estimate

RowsOfSubtables = Mapping[str, Sequence[RowSummary]]  # name of the subtable -> its rows
_HEADER = ["subtable", "full, Rank-1", "gain over row", *(f"{METRICS[name]} gain" for name in DIFFERENCES)]
CAPTION = (
    "Gain: full - row, paired by seed, ± half width of the 95 % interval (Student's t). Subtables are not averaged."
)
_NUMBER = re.compile(r"-(\d+(?:\.\d+)?)$")


def write_gains(
    folder: Path, subtables: RowsOfSubtables, pairs: Mapping[str, Pair], question: str, console: Console
) -> None:
    """Prints the gains of all subtables; writes gains.md, grid.tex and figures/gains.{png,svg,pdf,json} into `folder`.

    Args:
        pairs: name of a subtable -> its source and target. Without two different pairs there is no grid.
    """
    lines = [line for name, rows in subtables.items() for line in _lines(name, rows)]
    sentences = gain_sentences(subtables)
    table = Table()
    for name in _HEADER:
        table.add_column(name, overflow="fold", no_wrap=name not in ("subtable", "gain over row"))  # numbers stay whole
    for line in lines:
        table.add_row(*line)
    console.print(table)
    for text in (CAPTION, *sentences):
        console.print(text, style="dim", highlight=False, markup=False)
    markdown = tabulate(lines, _HEADER, tablefmt="pipe", disable_numparse=True)
    contents = [question, markdown, CAPTION, *sentences]
    grid = Grid.of({pair: subtables[name] for name, pair in pairs.items()}) if len({*pairs.values()}) > 1 else None
    if grid:
        contents.append(grid.to_markdown())
        atomic.write(folder / "grid.tex", grid.to_latex())
    atomic.write(folder / "gains.md", "\n\n".join(contents).strip() + "\n")
    draw_gains(subtables, folder / "figures", sentences)


def _lines(name: str, rows: Sequence[RowSummary]) -> list[list[str]]:
    full = _cell(_row(rows, FULL).metrics.get("rank_1"), "{:.1f}")
    return [
        [name, full, row.row, *(_cell(row.to_full.get(metric), "{:+z.1f}") for metric in DIFFERENCES)]
        for row in _compared(rows)
    ]


def gain_sentences(subtables: RowsOfSubtables) -> list[str]:
    """For each row, the subtables in which the 95 % interval of the gain is above 0, below 0, or contains 0.

    Then a statement that rows are tuned, if they are, and the share of the gap between the reference rows that full
    closes in each subtable, where it is defined.
    """
    sentences = []
    for row in _shared_rows(subtables):
        gains = {name: _row(rows, row).to_full.get("rank_1") for name, rows in subtables.items()}
        intervals = {name: gain for name, gain in gains.items() if gain and gain.half_width is not None}
        better = [name for name, g in intervals.items() if g.mean - (g.half_width or 0) > 0]
        worse = [name for name, g in intervals.items() if g.mean + (g.half_width or 0) < 0]
        open_ = [name for name in gains if name not in {*better, *worse}]
        verdicts = (("better in", better), ("worse in", worse), ("no significant difference in", open_))
        parts = [f"{verdict} {', '.join(names)}" for verdict, names in verdicts if names]
        sentences.append(f"Rank-1 of full against {row}: {'; '.join(parts)}.")
    if any(row.tuned for rows in subtables.values() for row in rows):
        sentences.append("Tuned rows: each row has its own learning rate in each subtable, listed in its table.")
    shares = {name: _row(rows, FULL).gap_closed for name, rows in subtables.items()}
    listed = [f"{share:.0f} % in {name}" for name, share in shares.items() if share is not None]
    ending = f"of the gap between {SOURCE_MODEL} and {SUPERVISED} (target labels): {', '.join(listed)}."
    return [*sentences, f"Full closes this share {ending}"] if listed else sentences


def draw_gains(subtables: RowsOfSubtables, folder: Path, sentences: Sequence[str]) -> None:
    """Figure of the gain over each row in each subtable.

    If all names end in a number (`shift-0.5`), the subtables are placed along a scale of these numbers.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(exist_ok=True)
    numbers = [_NUMBER.search(name) for name in subtables]
    places = [float(n[1]) for n in numbers if n] if all(numbers) else list(map(float, range(len(subtables))))
    figure, axes = pyplot.subplots(1, len(DIFFERENCES), figsize=(9.0, 3.4), layout="constrained")
    for axis, metric in zip(axes, DIFFERENCES, strict=True):
        _draw_panel(axis, subtables, metric, places)
        axis.set_ylabel(f"gain in {METRICS[metric]} (percentage points)")
        if all(numbers):
            axis.set_xlabel(_NUMBER.sub("", next(iter(subtables))))
        else:
            axis.set_xticks(places, list(subtables), rotation=30, ha="right")
    axes[0].legend(fontsize=8)
    save_figure(figure, folder / "gains")
    pyplot.close(figure)
    note = {
        "title": "Gain of the full method over each row",
        "key": "Point: mean over seeds; bar: 95 % interval.",
        "sentences": list(sentences),
        "uses_target_labels": False,
    }
    atomic.write(folder / "gains.json", json.dumps(note, indent=1) + "\n")


def _draw_panel(axis: Axes, subtables: RowsOfSubtables, metric: str, places: Sequence[float]) -> None:
    axis.axhline(0, color="grey", linewidth=0.8)
    step = (max(places) - min(places)) / (len(places) - 1 or 1)
    for number, row in enumerate(_shared_rows(subtables)):
        gains = [_row(rows, row).to_full.get(metric) for rows in subtables.values()]
        points = [(x + 0.04 * step * number, g) for x, g in zip(places, gains, strict=True) if g]
        axis.errorbar(
            [x for x, _ in points],
            [g.mean for _, g in points],
            yerr=[g.half_width or 0.0 for _, g in points],
            label=f"full against {row}",
            marker="o",
            markersize=4,
            capsize=3,
            linewidth=1.2,
        )


def _compared(rows: Sequence[RowSummary]) -> list[RowSummary]:
    """Rows that the full row is compared with; rows that train with target labels are no methods."""
    return [row for row in rows if row.row != FULL and not row.target_labels]


def _shared_rows(subtables: RowsOfSubtables) -> list[str]:
    """Rows that every subtable has and the full row is compared with."""
    first = [row.row for row in _compared(next(iter(subtables.values())))]
    return [name for name in first if all(any(r.row == name for r in rows) for rows in subtables.values())]


def _row(rows: Sequence[RowSummary], name: str) -> RowSummary:
    return next(row for row in rows if row.row == name)


def _cell(value: Estimate | None, form: str) -> str:
    if value is None:
        return ""
    return form.format(value.mean) + ("" if value.half_width is None else f" ± {value.half_width:.1f}")
